"""How a workflow moves from one state to the next; pure."""

from __future__ import annotations

from dataclasses import replace

from app.domain.errors import WorkflowConflict
from app.domain.same_request import is_same
from app.domain.workflow import ENDED_STEP, Question, Step, StepState, Workflow, WorkflowState
from app.sync.workflows.steps import Done


def blocked(now: Workflow, step: Step, question: Question) -> Workflow:
    """The step asks something."""
    if now.state is WorkflowState.STOPPING:
        return now  # nobody has to be asked any more
    asking = now.with_step(step.name, state=StepState.BLOCKED, message=question.text)
    return replace(asking, state=WorkflowState.BLOCKED, question=question)


def resumed(now: Workflow, question: Question, answer: str) -> Workflow:
    """Its question is answered. Raises WorkflowConflict when it was already."""
    if now.state is not WorkflowState.BLOCKED:
        raise WorkflowConflict("This question was already answered.")
    answers = {**now.answers, question.code: answer}
    goes_on = replace(now, state=WorkflowState.RUNNING, question=None, answers=answers)
    return goes_on if now.current is None else goes_on.with_step(now.current.name, state=StepState.PENDING, message="")


def step_ended(now: Workflow, step: Step, done: Done, at: float) -> Workflow:
    """A step has ended; one that failed ends the workflow."""
    after = now.with_step(step.name, state=done.state, message=done.message, error=done.error, finished_at=at)
    return ended(after, at) if done.state is StepState.FAILED else after


def ended(now: Workflow, at: float) -> Workflow:
    """The last step has ended, or one has failed: what comes after a failure is skipped."""
    failed = next((step for step in now.steps if step.state is StepState.FAILED), None)
    state = WorkflowState.FAILED if failed else WorkflowState.COMPLETED
    return _close(replace(now, state=state, error=failed.error if failed else None), StepState.SKIPPED, at)


def to_stop(now: Workflow, at: float) -> Workflow:
    """What waits for an answer is over at once; anything else its thread has to end."""
    if now.state is WorkflowState.BLOCKED:
        return stopped(now, at)
    return now if now.ended else replace(now, state=WorkflowState.STOPPING, question=None)


def stopped(now: Workflow, at: float) -> Workflow:
    """Nothing is left to do of it."""
    return now if now.ended else _close(replace(now, state=WorkflowState.STOPPED), StepState.STOPPED, at)


def _close(now: Workflow, rest: StepState, at: float) -> Workflow:
    steps = tuple(
        step if step.state in ENDED_STEP else replace(step, state=rest, finished_at=at if step.started_at else None)
        for step in now.steps
    )
    return replace(now, steps=steps, question=None, finished_at=at)


def asks_the_same(one: Workflow, other: Workflow) -> bool:
    """Whether both are the same request."""

    def shape(workflow: Workflow) -> tuple[object, ...]:
        return [step.name for step in workflow.steps], workflow.review_plan, workflow.deadline_seconds

    return shape(one) == shape(other) and is_same(one.request, other.request)
