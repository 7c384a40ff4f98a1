# The image of a project: Penstock's, with the project's folder in it. A project that needs more has
# a Dockerfile of its own beside penstock.toml, which begins with the same two lines.
ARG PENSTOCK_IMAGE
FROM ${PENSTOCK_IMAGE}
ARG PROJECT_FOLDER=/app
WORKDIR ${PROJECT_FOLDER}
COPY --chown=penstock . ./
