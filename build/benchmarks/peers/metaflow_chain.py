"""Twenty empty steps in a chain, by Metaflow: `python metaflow_chain.py run`."""

from metaflow import FlowSpec, step


class Chain(FlowSpec):
    """Hand an integer on."""

    @step
    def start(self) -> None:
        """Begin."""
        self.number = 0
        self.next(self.step_1)

    @step
    def step_1(self) -> None:
        """Hand it on."""
        self.next(self.step_2)

    @step
    def step_2(self) -> None:
        """Hand it on."""
        self.next(self.step_3)

    @step
    def step_3(self) -> None:
        """Hand it on."""
        self.next(self.step_4)

    @step
    def step_4(self) -> None:
        """Hand it on."""
        self.next(self.step_5)

    @step
    def step_5(self) -> None:
        """Hand it on."""
        self.next(self.step_6)

    @step
    def step_6(self) -> None:
        """Hand it on."""
        self.next(self.step_7)

    @step
    def step_7(self) -> None:
        """Hand it on."""
        self.next(self.step_8)

    @step
    def step_8(self) -> None:
        """Hand it on."""
        self.next(self.step_9)

    @step
    def step_9(self) -> None:
        """Hand it on."""
        self.next(self.step_10)

    @step
    def step_10(self) -> None:
        """Hand it on."""
        self.next(self.step_11)

    @step
    def step_11(self) -> None:
        """Hand it on."""
        self.next(self.step_12)

    @step
    def step_12(self) -> None:
        """Hand it on."""
        self.next(self.step_13)

    @step
    def step_13(self) -> None:
        """Hand it on."""
        self.next(self.step_14)

    @step
    def step_14(self) -> None:
        """Hand it on."""
        self.next(self.step_15)

    @step
    def step_15(self) -> None:
        """Hand it on."""
        self.next(self.step_16)

    @step
    def step_16(self) -> None:
        """Hand it on."""
        self.next(self.step_17)

    @step
    def step_17(self) -> None:
        """Hand it on."""
        self.next(self.step_18)

    @step
    def step_18(self) -> None:
        """Hand it on."""
        self.next(self.end)

    @step
    def end(self) -> None:
        """End."""
        assert self.number == 0


if __name__ == "__main__":
    Chain()
