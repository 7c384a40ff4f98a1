"""A loop in the notation of Kubeflow's own SDK, which reads annotations as they stand."""

from kfp import dsl


@dsl.container_component
def lists(items: dsl.OutputPath(list)):
    return dsl.ContainerSpec("image", ["command"])


@dsl.container_component
def work(item: str, folder: str):
    return dsl.ContainerSpec("image", ["command"], [item, folder])


@dsl.container_component
def after():
    return dsl.ContainerSpec("image", ["command"])


@dsl.pipeline(name="parts")
def parts():
    with dsl.ParallelFor([{"label": "a"}]) as item:
        work(item=item.label, folder="b")


@dsl.pipeline(name="nested")
def nested(folder: str = ""):
    listed = lists()
    with dsl.ParallelFor(listed.outputs["items"]) as item, dsl.ParallelFor(["a", "b"]) as other:
        worked = work(item=item, folder=other)
    after().after(worked)


@dsl.pipeline(name="toy")
def toy(folder: str = ""):
    listed = lists()
    with dsl.ParallelFor(listed.outputs["items"]) as item:
        worked = work(item=item, folder=folder)
    after().after(worked)
