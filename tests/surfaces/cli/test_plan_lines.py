"""What `penstock plan` prints of a node."""

from penstock.execution.plan import NodePlan, Verdict
from penstock.surfaces.cli.summary import print_plan


def test_code_whose_changes_are_not_noticed_stands_below_its_node(capsys):
    unseen = ("what import_module runs in model.py, line 7",)
    print_plan([NodePlan("Trainer", Verdict.CACHED, unseen=unseen)])
    first, second, _, counts = capsys.readouterr().out.splitlines()
    assert first.rstrip() == "✔ Trainer  cached"
    assert second.strip() == f"changes are not noticed: {unseen[0]}"
    assert counts == "1 cached"


def test_who_does_the_work_of_a_node_of_tfx_s_stands_below_its_node(capsys):
    print_plan([NodePlan("Gen", Verdict.RUNS, ("it has not run yet",), done_by="accelerated")])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.split() == ["▶", "Gen", "runs", "it", "has", "not", "run", "yet"]
    assert second.strip() == "accelerated"
