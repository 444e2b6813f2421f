"""An episode of the operating-system task under AgentBench's rules."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentx.tasks.environment import Action, Observation, StepResult
from agentx.tasks.operating_system.actions import Command, parse
from agentx.tasks.operating_system.agentbench_prompt import AgentBenchPrompt, read_reply
from agentx.tasks.operating_system.preparation import sandboxes
from agentx.tasks.operating_system.problems import Problem, passes, prepare
from agentx.tasks.operating_system.sandbox import Limits, Sandbox, SandboxGone
from agentx.tasks.operating_system.settings import Settings
from agentx.tasks.operating_system.shell import Output, Shell
from agentx.trajectory import Outcome, Verdict

_CUT = "\n[truncated because the output is too long]"


class OperatingSystemEnvironment:
    """One problem in a sandbox of its own; satisfies `agentx.tasks.environment.Environment`.

    Scripts run in one login shell for the whole episode. `answer(...)` and `finish` end it and are judged; an action
    that is none of these ends it as invalid_action; after `task.max_rounds` rounds it ends as task_limit. The reward
    is 1 for a solved problem, else 0. An agent that destroys its own sandbox has failed (notice sandbox_gone).
    """

    deterministic = False

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        cache: Path | None = None,
        wording: AgentBenchPrompt | None = None,
    ) -> None:
        """`wording` is AgentBench's, for task.replies=agentbench."""
        self.task_statement = problem.description
        self.max_rounds = settings.max_rounds
        self.sandbox: Sandbox | None = None
        self.keeps_replies = wording is not None
        self._problem, self._settings, self._cache, self._wording = problem, settings, cache, wording
        self._shell: Shell | None = None
        self._rounds = 0
        self._done = True

    async def reset(self) -> Observation:
        """Raises OSError when there is no sandbox to be had, TaskDataError when the problem cannot be set up and
        UserError when this machine has no such sandbox at all."""
        await self.close()
        settings = self._settings
        limits = Limits(settings.memory_mb, settings.disk_mb, settings.processes)
        kind = await asyncio.to_thread(sandboxes, settings.sandbox, settings.root_tree, settings.image, self._cache)
        self.sandbox = await kind.start(limits)
        try:
            await prepare(self._problem, self.sandbox, settings.script_seconds)
            self._shell = Shell(self.sandbox, settings.silence_seconds, settings.command_seconds)
            await self._shell.start()
            if self._problem.start:
                await self._shell.run(self._problem.start)
        except SandboxGone as error:
            await self.close()
            raise OSError(f"the sandbox ended while it was set up: {error}") from error
        except BaseException:
            await self.close()
            raise
        self._rounds, self._done = 0, False
        return Observation(self._problem.description if self._wording else f"TASK: {self._problem.description}")

    async def step(self, action: Action) -> StepResult:
        if self._done or self._shell is None or self.sandbox is None:
            raise RuntimeError("the episode is over or was never started: call reset first")
        self._rounds += 1
        command = read_reply(action.raw) if self._wording else parse(action.text)
        if command is None:
            return self._end(Verdict.INVALID_FORMAT, Outcome.INVALID_ACTION)
        notices = tuple(f"forgiven:{name}" for name in command.forgiven)
        try:
            if command.kind == "bash":
                return await self._run(command, notices)
            solved = await passes(self._problem, command.text, self.sandbox, self._settings.script_seconds)
        except SandboxGone:
            return self._end(
                Verdict.VALID, Outcome.INVALID_ACTION, executed=command.text, notices=("sandbox_gone", *notices)
            )
        executed = f"answer({command.text})" if command.kind == "answer" else "finish"
        return self._end(Verdict.VALID, Outcome.COMPLETED, 1.0 if solved else 0.0, executed, notices)

    async def fork(self) -> None:
        """Running processes cannot be copied."""

    async def close(self) -> None:
        self._done = True
        shell, self._shell = self._shell, None
        sandbox, self.sandbox = self.sandbox, None
        if shell is not None:
            await shell.close()
        if sandbox is not None:
            await sandbox.close()

    async def _run(self, command: Command, notices: tuple[str, ...]) -> StepResult:
        assert self._shell is not None
        output = await self._shell.run(command.text)
        if output.ending != "finished":
            notices = (f"command_{output.ending}", *notices)
        observation = Observation(self._shown(output))
        if self._rounds >= self.max_rounds:
            return self._end(Verdict.VALID, Outcome.TASK_LIMIT, 0.0, command.text, notices, observation)
        return StepResult(observation, 0.0, False, Verdict.VALID, None, command.text, notices)

    def _shown(self, output: Output) -> str:
        settings = self._settings
        text = output.text.strip("\n")
        if len(text) > settings.output_chars:
            text = text[: settings.output_chars - 20] + _CUT
        if self._wording:
            return self._wording.shown(text)
        text = text or "(nothing)"
        ending = {
            "finished": "",
            "silent": f"\n[stopped: no output for {settings.silence_seconds:g} s]",
            "slow": f"\n[stopped after {settings.command_seconds:g} s]",
            "flood": "\n[stopped: endless output]",
            "exited": "\n[the shell had ended]",
        }[output.ending]
        return f"OUTPUT:\n{text}{ending}" + ("\n[a new shell was started]" if output.restarted else "")

    def _end(
        self,
        verdict: Verdict,
        outcome: Outcome,
        reward: float = 0.0,
        executed: str = "",
        notices: tuple[str, ...] = (),
        observation: Observation | None = None,
    ) -> StepResult:
        self._done = True
        return StepResult(observation or Observation(""), reward, True, verdict, outcome, executed, notices)
