"""The live page, clicked through in a browser."""

from __future__ import annotations

import re
import threading

import pytest

from penstock.surfaces.ui.pages import artifact_files

WAIT_MILLISECONDS = 90_000


def home(page) -> str:
    return re.match(r"https?://[^/]+/", page.url)[0]


def test_the_token_leaves_the_address_and_a_strict_cookie_has_it(visit):
    assert "token" not in visit.page.url
    [cookie] = visit.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


def test_runs_are_listed_newest_first_and_filtered_by_state(visit, results):
    page = visit.page
    ids = [run.run_id for run in (results.failed, results.second, results.first)]
    names = page.locator("tbody th").all_inner_texts()
    assert [name for name in names if name in ids] == ids
    page.get_by_label("State").select_option("failed")
    page.get_by_role("button", name="Show").click()
    assert page.locator("tbody th").all_inner_texts() == [results.failed.run_id]


def test_a_run_leads_to_its_node_and_the_node_to_its_log(visit, results):
    page = visit.page
    page.get_by_role("link", name=results.failed.run_id).click()
    page.get_by_role("link", name=re.compile("Train: failed")).click()
    assert "ValueError: no luck" in page.get_by_label("The error").inner_text()
    assert "learning" in page.get_by_label("The end of the log").inner_text()
    page.get_by_role("link", name="The whole log").click()
    assert "Traceback" in page.locator("body").inner_text()


def test_a_node_that_was_resumed_shows_the_log_of_its_last_try(visit, project, tmp_path):
    page = visit.page
    gate = tmp_path / "go"
    failed = project.run(fails_without=str(gate))
    gate.touch()
    project.resume(failed.run_id)
    page.goto(f"{home(page)}runs/{failed.run_id}/nodes/Train")
    assert "done" in page.get_by_role("status").inner_text()
    assert page.get_by_label("The end of the log").inner_text() == "learning\n"
    assert page.get_by_label("The error").count() == 0


def test_an_artifact_shows_its_lineage_both_ways(visit, results):
    page = visit.page
    page.goto(f"{home(page)}runs/{results.first.run_id}/nodes/Train")
    page.get_by_label("Made: artifacts").get_by_role("link", name=re.compile("^Model ")).click()
    assert "examples: Examples" in page.get_by_label("Tree of what it was made from").inner_text()
    down = page.get_by_label("Tree of what was made from it")
    assert "ModelEvaluation" in down.inner_text()
    down.get_by_role("link", name=re.compile("PushedModel")).first.click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("PushedModel")


def test_two_marked_runs_are_compared_the_later_with_the_earlier(visit, results):
    page = visit.page
    for run in (results.second, results.first):
        page.get_by_label(f"Compare {run.run_id}").check()
    page.get_by_role("button", name="Compare two runs").click()
    assert (
        "accuracy\t0.9300\t0.7000\t\u22120.2300"
        in page.get_by_label("Metrics of both").inner_text()
    )
    assert "0.7" in page.get_by_label("Parameters: differences").inner_text()
    assert page.get_by_role("img", name=re.compile("loss over training: first: train")).count()


def test_one_marked_run_leads_to_a_choice_of_another(visit, results):
    page = visit.page
    page.get_by_label(f"Compare {results.first.run_id}").check()
    page.get_by_role("button", name="Compare two runs").click()
    assert "one is marked" in page.locator("main").inner_text()
    assert page.get_by_label(f"Compare {results.first.run_id}").is_checked()
    page.get_by_label(f"Compare {results.second.run_id}").check()
    page.get_by_role("button", name="Compare two runs").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Two runs compared"


def test_of_three_marked_runs_two_are_chosen(visit, results):
    page = visit.page
    named = [results.first.run_id, results.second.run_id, results.failed.run_id]
    page.goto(f"{home(page)}compare?{'&'.join(f'run={name}' for name in named)}")
    assert "3 are marked" in page.locator("main").inner_text()
    assert page.locator("input:checked").count() == 3


def test_a_run_that_was_not_blessed_looks_otherwise_than_one_that_was(visit, results):
    rows = visit.page.get_by_role("row")
    assert "not blessed" in rows.filter(has_text=results.second.run_id).inner_text()
    assert "✓ blessed" in rows.filter(has_text=results.first.run_id).inner_text()


def test_runs_are_found_by_their_parameters(visit, results):
    page = visit.page
    page.get_by_label("Find").fill("accuracy=0.7 reported")
    page.get_by_role("button", name="Show").click()
    found = page.locator("tbody th").all_inner_texts()
    assert results.second.run_id in found
    assert results.first.run_id not in found


def test_runs_are_sorted_by_a_column_and_the_other_way_round(visit, results):
    page = visit.page
    page.get_by_label("Find").fill("accuracy")
    for name, first in (("Metric", results.first.run_id), ("Metric", results.second.run_id)):
        page.get_by_role("columnheader").get_by_role("link", name=name).click()
        rows = page.locator("tbody th").all_inner_texts()
        known = [run for run in rows if run in (results.first.run_id, results.second.run_id)]
        assert known[0] == first


def test_a_cached_node_leads_to_the_run_that_made_what_it_found(visit, results):
    page = visit.page
    page.get_by_role("link", name=results.second.run_id).click()
    page.get_by_label("Nodes with times and resources").get_by_role(
        "link", name=results.first.run_id
    ).first.click()
    assert page.url.endswith(results.first.run_id)


@pytest.mark.parametrize(
    ("node", "key", "text"),
    [
        ("MakeStatistics", "statistics", "number_1"),
        ("Evaluate", "evaluation", "island:value 2"),
        ("Evaluate", "blessing", "Blessed: its thresholds hold."),
        ("Validate", "anomalies", "No anomalies"),
        ("Train", "model_run", "loss"),
    ],
)
def test_an_artifact_shows_what_it_holds(visit, results, node, key, text):
    page = visit.page
    artifact = results.first.output(node, key)
    page.goto(f"{home(page)}artifacts/{artifact.id}")
    assert text in page.locator("[aria-labelledby=content]").inner_text()


def test_an_artifact_lists_its_files(visit, results):
    page = visit.page
    page.goto(f"{home(page)}artifacts/{results.first.output('Train', 'model').id}")
    row = page.get_by_label("Names and sizes").get_by_role("row").nth(1)
    assert row.inner_text().split() == ["model", "7", "B"]


def test_a_run_s_report_is_given_as_one_file(visit, results):
    page = visit.page
    page.get_by_role("link", name=results.first.run_id).click()
    page.get_by_role("link", name="its report, one file").click()
    assert "Blessed" in page.locator(".verdict").inner_text()
    assert page.locator("a[href^='/']").count() == 0


def test_what_is_not_there_is_said(visit):
    page = visit.page
    page.goto(f"{home(page)}runs/no-such-run")
    assert "there is no run 'no-such-run'" in page.locator("main").inner_text()


def test_every_page_keeps_the_rules_of_accessibility(visit, results):
    page = visit.page
    compared = f"compare?run={results.first.run_id}&run={results.second.run_id}"
    run = f"runs/{results.failed.run_id}"
    broken = {}
    evaluation = results.first.output("Evaluate", "evaluation").id
    one = f"compare?run={results.first.run_id}"
    paths = (
        *("", compared, one, run, f"{run}/nodes/Train", "artifacts/2", f"artifacts/{evaluation}"),
        *("models", "deployments"),
    )
    for path in paths:
        page.goto(home(page) + path)
        broken[path] = visit.violations()
    assert {path: found for path, found in broken.items() if found} == {}
    assert visit.complaints == []


def test_reading_leaves_the_store_as_it_was(visit, project, results):
    page = visit.page
    before = (project.folder / "metadata.sqlite").read_bytes()
    page.get_by_role("link", name=results.first.run_id).click()
    page.go_back()
    assert (project.folder / "metadata.sqlite").read_bytes() == before


def test_a_run_under_way_is_followed_without_loading_the_page_again(visit, project, tmp_path):
    page = visit.page
    gate = tmp_path / "go"
    thread = threading.Thread(target=project.run, kwargs={"waits_for": str(gate), "steps": 3})
    thread.start()
    try:
        while not (rows := page.get_by_role("row").filter(has_text="running")).count():
            page.reload()
        rows.get_by_role("link").first.click()
        train = page.get_by_role("link", name=re.compile("Train: running"))
        train.wait_for(timeout=WAIT_MILLISECONDS)
        page.evaluate("window.loadedOnce = true")
        assert "Running" in page.locator(".verdict").inner_text()
    finally:
        gate.touch()
    page.get_by_role("link", name=re.compile("Push: done")).wait_for(timeout=WAIT_MILLISECONDS)
    page.get_by_text("Its threshold holds.").wait_for(timeout=WAIT_MILLISECONDS)
    assert page.evaluate("window.loadedOnce") is True
    thread.join()


def test_the_list_shows_a_new_run_and_its_end_without_loading_the_page_again(
    visit, project, results
):
    page = visit.page
    page.get_by_label(f"Compare {results.first.run_id}").check()
    page.evaluate("window.loadedOnce = true")
    run_id = project.run(accuracy=0.94).run_id
    row = page.get_by_role("row").filter(has_text=run_id)
    row.filter(has_text="done").wait_for(timeout=WAIT_MILLISECONDS)
    assert page.evaluate("window.loadedOnce") is True
    assert page.get_by_label(f"Compare {results.first.run_id}").is_checked()


def test_a_page_that_is_followed_asks_for_its_state_alone_while_nothing_changes(visit, results):
    page = visit.page
    page.get_by_role("link", name=results.first.run_id).click()
    path = f"/runs/{results.first.run_id}/state"
    with page.expect_response(lambda answer: answer.url.endswith(path)) as asked:
        pass
    assert asked.value.status == 304
    pages = [url for url in visit.requests if url.endswith(f"/runs/{results.first.run_id}")]
    assert len(pages) == 1


def test_files_behind_links_and_more_than_people_read_are_not_listed(tmp_path):
    (tmp_path / "artifact").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    (tmp_path / "artifact" / "link").symlink_to(tmp_path / "elsewhere")
    for number in range(300):
        (tmp_path / "artifact" / f"{number:03}").touch()
    files, more = artifact_files(str(tmp_path / "artifact"))
    assert len(files) == 200
    assert more
    assert not any("secret" in name for name, _ in files)
