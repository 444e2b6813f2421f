"""Tree of thoughts: breadth-first and depth-first search over environment states, scored by the judge.

Every node is a `Path` of one step with its parent's index; the root has no step, no parent and the only opening. A
node's state comes back by `fork()` or, in deterministic environments, by replaying its actions from the start.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agentx.errors import UserError
from agentx.models.chat import ContextOverflow
from agentx.reasoning.episode import Episode, distinct, end_path
from agentx.reasoning.history import History
from agentx.reasoning.judge import Judge
from agentx.reasoning.search import FULL_REWARD
from agentx.tasks.environment import Environment, StepResult
from agentx.trajectory import Candidate, Outcome, Path, Step


@dataclass(eq=False)
class Node:
    """A state: `steps` lead to it from the root; `environment` is its own fork (None when states are replayed)."""

    path: Path
    history: History
    steps: list[Step] = field(default_factory=list)
    environment: Environment | None = None

    @property
    def done(self) -> bool:
        return bool(self.steps) and self.steps[-1].done

    @property
    def score(self) -> float:
        return self.path.judged_score or 0.0


class States:
    """Takes steps from any node. Owns the forks it makes, never the root's environment."""

    def __init__(self, episode: Episode, environment: Environment) -> None:
        self._episode = episode
        self._root = environment
        self._at: Node | None = None
        self._forks: dict[int, Environment] = {}

    async def begin(self, root: Node) -> None:
        """Find out how states come back. Raises UserError where they cannot."""
        probe = await self._root.fork()
        if probe is not None:
            self._forks[id(probe)] = probe
            root.environment = probe
        elif self._root.deterministic:
            self._at = root
        else:
            raise UserError(
                f"method.tree.strategy={self._episode.settings.tree.strategy}: this task's environment can neither be "
                "copied nor replayed, so that no earlier state can be returned to; use another method"
            )

    async def step(self, node: Node, candidate: Candidate) -> tuple[StepResult, Environment | None]:
        """Do the candidate's action in the node's state; the second value is the new state's own environment."""
        if node.environment is None:
            if self._at is not node:
                await self._replay(node)
            self._at = None
            return await self._episode.act(self._root, candidate), None
        fork = await node.environment.fork()
        if fork is None:
            raise UserError(
                "an environment that could be copied at first cannot be copied any more; use another method"
            )
        self._forks[id(fork)] = fork
        return await self._episode.act(fork, candidate), fork

    def arrived(self, child: Node) -> None:
        """The live environment is in the child's state now, if states are replayed."""
        if child.environment is None:
            self._at = child

    async def _replay(self, node: Node) -> None:
        self._at = None
        await self._root.reset()
        for step in node.steps:
            self._episode.trajectory.replayed_steps += 1
            result = await self._episode.act(self._root, step.candidate)
            if result.observation.text != step.observation:
                raise UserError(
                    f"replaying sample {self._episode.context.sample_id} gave another observation than before: its "
                    "environment is not deterministic; use a method without tree search"
                )

    async def release(self, node: Node) -> None:
        """The node will not be returned to."""
        if node.environment is not None:
            fork, node.environment = node.environment, None
            await fork.close()
            self._forks.pop(id(fork), None)

    async def close(self) -> None:
        """Close every fork, whatever else happens."""
        forks, self._forks = self._forks, {}
        if forks:
            closing = asyncio.gather(*(fork.close() for fork in forks.values()), return_exceptions=True)
            await asyncio.shield(closing)


class Tree:
    """Grows nodes. `found` is set as soon as a node is good enough (`backtrack.signal`): the search is over then."""

    def __init__(self, episode: Episode, states: States, judge: Judge, limit: int) -> None:
        self.found = False
        self.limit = limit
        self._episode = episode
        self._states = states
        self._judge = judge

    @property
    def over(self) -> bool:
        return self.found or len(self._episode.trajectory.paths) > self._episode.settings.tree.max_nodes

    async def expand(self, node: Node) -> list[Node]:
        """The node's children, best first (equal scores in the order proposed); its own state is given up."""
        depth = len(node.steps)
        children: list[Node] = []
        try:
            candidates = await self._episode.propose(
                node.history.messages, path=node.path.index, step=depth, greedy=True
            )
        except ContextOverflow:
            node.path.outcome = Outcome.CONTEXT_LIMIT
            await self._states.release(node)
            return children
        for option in distinct(candidates):
            if self.over:
                break
            children.append(await self._grow(node, candidates[option]))
        await self._states.release(node)
        return sorted(children, key=lambda child: -child.score)

    async def _grow(self, node: Node, candidate: Candidate) -> Node:
        episode = self._episode
        paths = episode.trajectory.paths
        result, environment = await self._states.step(node, candidate)
        step = episode.record(len(node.steps), [candidate], 0, result)
        path = Path(len(paths), [], steps=[step], reward=result.reward, parent=node.path.index)
        paths.append(path)
        history = node.history.copy()
        history.proceed(episode.history_text(candidate), result.observation)
        child = Node(path, history, [*node.steps, step], environment)
        self._states.arrived(child)
        episode.note_loop(child.steps)
        if result.done:
            end_path(path, result)
            self.found = await self._good_enough(child)
        if not self.found:
            path.judged_score = candidate.score = await self._judge.score(
                child.steps, path=path.index, outcome=path.outcome if child.done else None
            )
        if child.done:
            await self._states.release(child)
        return child

    async def _good_enough(self, child: Node) -> bool:
        options = self._episode.settings.backtrack
        if options.signal == "env_reward":
            good = child.path.reward >= FULL_REWARD
        else:
            good = await self._judge.task_done(child.steps, child.path.outcome, path=child.path.index)
            child.path.judged_success = good
        return good and options.stop_early

    async def breadth_first(self, root: Node, beam: int) -> None:
        kept = [root]
        for _ in range(self.limit):
            children: list[Node] = []
            for node in kept:
                children += await self.expand(node)
                if self.over:
                    return
            ranked = sorted((child for child in children if not child.done), key=lambda child: -child.score)
            for child in ranked[beam:]:
                await self._states.release(child)
            kept = ranked[:beam]

    async def depth_first(self, node: Node, threshold: float) -> None:
        if len(node.steps) >= self.limit:
            return
        for child in await self.expand(node):
            if not (self.over or child.done or child.score < threshold):
                await self.depth_first(child, threshold)
            await self._states.release(child)


async def tree_search(episode: Episode, environment: Environment) -> None:
    """Grow the tree into `episode.trajectory.paths`. Raises UserError where states cannot be restored."""
    options = episode.settings.tree
    root = Path(0, [])
    episode.trajectory.paths.append(root)
    observation = await environment.reset()
    history = History(episode.context.opening, observation)
    root.opening = [message.to_dict() for message in history.messages]
    states = States(episode, environment)
    try:
        node = Node(root, history)
        await states.begin(node)
        judge = Judge(episode, environment.task_statement, observation.text)
        tree = Tree(episode, states, judge, min(options.depth, environment.max_rounds))
        if options.strategy == "bfs":
            await tree.breadth_first(node, options.beam)
        else:
            await tree.depth_first(node, options.threshold)
    finally:
        await states.close()


def leaves(paths: list[Path]) -> list[Path]:
    """The nodes that may count: those where the environment completed, else all that were not grown from."""
    completed = [path for path in paths if path.steps and path.outcome is Outcome.COMPLETED]
    parents = {path.parent for path in paths}
    return completed or [path for path in paths if path.index not in parents]
