# Everything that the project needs is installed into this folder: uv below .uv, packages below .venv.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
PENSTOCK := .venv/bin/penstock
SETUP := .venv/.setup-done
TEST_PROCESSES := 2
# In the order of tests/conftest.py, which has the longest files first.
PYTEST := pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations 60
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

MATRIX := 3.12 3.13
DOCKER_TESTS := tests/kubeflow_docker
CHAOS_TESTS := tests/chaos
MODEL_TESTS := tests/models tests/pipelines/test_flights_frameworks.py \
	tests/components/test_infra_validator.py tests/components/test_bulk_inferrer.py \
	tests/components/test_validated_and_inferred.py tests/surfaces/cli/test_predict.py \
	tests/surfaces/cli/test_init_frameworks.py

# Without kept bytecode, each process that imports TensorFlow compiles it anew, which takes longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-core test-models coverage test-matrix test-kubeflow test-beam chaos chaos-long loop services services-beam more-services-beam lint docs bench bench-kernels notebooks format release clean

setup: $(SETUP)

.uv/bin/uv:
	python3 -m venv .uv && .uv/bin/pip install --quiet uv

$(SETUP): pyproject.toml setup.py setup.cfg uv.lock | $(filter .uv/bin/uv,$(UV))
	$(UV) sync --frozen --all-extras --no-extra torch --no-extra spark --no-extra ray --all-groups --no-group image --compile-bytecode
	touch $@

# Where all is installed already nothing is taken away; else only what the demo needs is installed.
demo: | $(filter .uv/bin/uv,$(UV))  ## run the flights pipeline end to end, and ask its model about a flight
	test -e $(SETUP) || $(UV) sync --frozen --no-default-groups --extra tfx --extra examples --extra serve --compile-bytecode
	$(PENSTOCK) run flights
	.venv/bin/python -m penstock.pipelines.flights.ask

test: $(SETUP)  ## run the whole test suite
	.venv/bin/python -m $(PYTEST) $(TESTS)

test-core: | $(filter .uv/bin/uv,$(UV))  ## run the tests of the core where nothing else is installed
	UV_PROJECT_ENVIRONMENT=.core $(UV) sync --quiet --frozen --no-default-groups --group test
	.core/bin/python -m $(PYTEST) -m core $(TESTS)

# PyTorch brings 5 GB, and is in no other environment.
test-models: | $(filter .uv/bin/uv,$(UV))  ## run the tests of models with every framework but TensorFlow
	UV_PROJECT_ENVIRONMENT=.models $(UV) sync --quiet --frozen --no-default-groups --group test \
		--extra sklearn --extra xgboost --extra lightgbm --extra torch --extra onnx --extra examples
	.models/bin/python -m $(PYTEST) $(MODEL_TESTS)

# Processes that tests start measure themselves, wherever they run.
coverage: export PENSTOCK_SOURCES := $(CURDIR)
coverage: $(SETUP)  ## run the whole test suite, and say what share of lines and branches it runs
	rm -f .coverage .coverage.*
	cp build/unmeasured_imports.py .venv/lib/python3.*/site-packages/
	.venv/bin/coverage run -m $(PYTEST) $(TESTS)
	.venv/bin/coverage run --source penstock,components,pipelines -m penstock --version
	.venv/bin/coverage combine --quiet
	rm -f .coverage.*
	.venv/bin/coverage report

test-matrix:  ## run the whole test suite with other versions of Python, MATRIX="3.12 3.13"
	build/matrix.sh $(MATRIX)

test-kubeflow: $(SETUP)  ## build the image and run penguins in containers, with a Docker engine of its own if none runs
	@{ command -v docker && command -v debootstrap && command -v docker-registry; } >/dev/null && \
	{ docker info || command -v dockerd; } >/dev/null 2>&1 || \
	{ $(SUDO) apt-get update && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
		docker.io debootstrap docker-registry iptables; }
	.venv/bin/python -m pytest --timeout 0 $(DOCKER_TESTS)

# Spark and Ray bring half a gigabyte, and are in no other environment.
test-beam: services-beam $(if $(TESTS),,more-services-beam) | $(filter .uv/bin/uv,$(UV))  ## run components on a real Spark, a real Ray and a real job service of Beam, and kill them
	UV_PROJECT_ENVIRONMENT=.clusters $(UV) sync --quiet --frozen --no-default-groups --group test \
		--group services --extra tfx --extra spark --extra ray --extra sklearn --extra s3
	.clusters/bin/python -m pytest tests/clusters $(TESTS)

services-beam:  ## install the Java that Spark needs (Debian)
	@command -v java >/dev/null || \
	{ $(SUDO) apt-get update && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
		default-jre-headless; }

# Neither has a package; both work with any version that is near.
more-services-beam:  ## build Beam's runner Prism where Go is, and fetch the server of Spark Connect where Maven is
	@test -x .servers/prism || ! command -v go >/dev/null || \
	GOBIN=$(CURDIR)/.servers go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.73.0
	@ls .servers/spark-connect_*.jar >/dev/null 2>&1 || ! command -v mvn >/dev/null || \
	mvn --quiet org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
		-Dartifact=org.apache.spark:spark-connect_2.12:3.5.7 -DoutputDirectory=$(CURDIR)/.servers

chaos: $(SETUP)  ## attack eight runs at once for ten minutes, at random: CHAOS_SECONDS=600 CHAOS_SEED=1
	.venv/bin/python -m pytest $(CHAOS_TESTS)/test_at_random.py

chaos-long: $(SETUP)  ## kill whoever takes part in a release, at each of its steps, and take databases away, for an hour or so
	.venv/bin/python -m pytest --ignore $(CHAOS_TESTS)/test_at_random.py $(CHAOS_TESTS)

loop: $(SETUP)  ## a year of a model that nobody touches, for half an hour or so: .loop/year.html
	.venv/bin/python build/loop/year.py $(LOOP)

services:  ## install the database servers and the browser that tests start (Debian)
	@command -v mariadbd >/dev/null && command -v chromium >/dev/null && \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || \
	{ $(SUDO) apt-get update && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
		mariadb-server postgresql chromium fonts-dejavu-core; }

lint: $(SETUP)  ## check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python build/check_types.py
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml

docs: $(SETUP)  ## build the documentation into docs/_build; warnings are errors
	.venv/bin/sphinx-build -q -W --keep-going -c docs . docs/_build

bench: $(SETUP)  ## measure beside TFX and others, for an hour or so; writes docs/benchmarks.md: BENCH="--only chain"
	.venv/bin/python -W ignore build/benchmarks/bench.py $(BENCH)

bench-kernels: $(SETUP)  ## measure single kernels on 20,000 rows, in rows a second, for a minute or so
	.venv/bin/python -m pytest build/benchmarks/kernels -p benchmark --benchmark-only \
		--benchmark-sort=name --benchmark-columns=min,median,stddev,rounds $(BENCH)

notebooks: $(SETUP)  ## execute the notebooks and keep their outputs
	.venv/bin/python -W ignore build/notebooks.py

format: $(SETUP)  ## rewrite the sources in the project's style
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

release: $(SETUP)  ## build wheel and sdist into dist/, check them, and run a pipeline with the wheel alone
	build/release.sh $(UV)

clean:  ## remove what was installed and what runs have made
	rm -rf .venv .core .models .clusters .servers .uv .docker .matrix .loop .penstock serving dist .coverage
