"""Generated problems: families of file, text, process, permission and user problems with reference solutions.

Training and test problems take all their names from different words, so that none occurs in both.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import yaml

from agentx.tasks.operating_system.problems import ExpertStep, Problem, Script

WORDS: dict[str, list[str]] = yaml.safe_load(
    resources.files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")
)
"""names in problems, by split"""
_EXTENSIONS = ("cfg", "csv", "dat", "json", "log", "md", "txt", "xml")


@dataclass
class Draw:
    """Random choices for one problem; `word` never gives the same twice."""

    rng: random.Random
    words: list[str]

    @classmethod
    def seeded(cls, split: str, seed: int, index: int) -> Draw:
        rng = random.Random(f"{split}/{seed}/{index}")
        return cls(rng, rng.sample(WORDS[split], len(WORDS[split])))

    def word(self) -> str:
        return self.words.pop()

    def directory(self) -> str:
        return f"{self.rng.choice(('/opt', '/srv', '/home', '/var/local'))}/{self.word()}"

    def extension(self) -> str:
        return self.rng.choice(_EXTENSIONS)


Family = Callable[[Draw], Problem]


def _question(kind: str, text: str, init: str, answer: object, thought: str, script: str, start: str = "") -> Problem:
    found = f"The output says {answer}, which is the answer."
    steps = (
        ExpertStep("find out what is asked for", thought, script=script),
        ExpertStep("give the answer", found, answer=str(answer)),
    )
    return Problem(
        "", kind, text, (Script(f"set -e\n{init}"),) if init else (), start, match=str(answer), solution=steps
    )


def _operation(
    kind: str, text: str, init: str, check: str, thought: str, script: str, verify: str, start: str = ""
) -> Problem:
    steps = (
        ExpertStep("do what is asked for", thought, script=script),
        ExpertStep("check the result", "I look whether it has worked.", script=verify),
        ExpertStep("finish", "That is what was asked for. I finish."),
    )
    init_scripts = (Script(f"set -e\n{init}"),) if init else ()
    return Problem("", kind, text, init_scripts, start, checks=(Script(check),), solution=steps)


def _made(paths: Sequence[str]) -> str:
    """Script that makes empty files with their directories."""
    return "\n".join(f"mkdir -p $(dirname {shlex.quote(path)}); touch {shlex.quote(path)}" for path in paths)


def _written(path: str, text: str) -> str:
    return f"mkdir -p $(dirname {path}); printf %s {shlex.quote(text)} > {path}"


def count_files(draw: Draw) -> Problem:
    folder, wanted = draw.directory(), draw.extension()
    other = next(e for e in draw.rng.sample(_EXTENSIONS, 2) if e != wanted)
    count = draw.rng.randint(2, 7)
    paths = [f"{folder}/{draw.word()}{draw.rng.choice(('', '/' + 'sub'))}/{draw.word()}.{wanted}" for _ in range(count)]
    paths += [f"{folder}/{draw.word()}.{other}" for _ in range(3)]
    return _question(
        "count_files",
        f"How many files below {folder}, at any depth, have a name that ends in .{wanted}? Answer with the number.",
        _made(paths),
        count,
        f"I list the .{wanted} files below {folder} and count them.",
        f"find {folder} -type f -name '*.{wanted}' | wc -l",
    )


def largest_file(draw: Draw) -> Problem:
    folder = draw.directory()
    sizes = draw.rng.sample(range(10, 900), 5)
    names = [f"{draw.word()}.{draw.extension()}" for _ in sizes]
    init = f"mkdir -p {folder}\n" + "\n".join(
        f"head -c {size} /dev/zero > {folder}/{name}" for name, size in zip(names, sizes, strict=True)
    )
    return _question(
        "largest_file",
        f"Which file directly in {folder} is the largest? Answer with its name alone, without the directory.",
        init,
        names[sizes.index(max(sizes))],
        "I sort the files by size; the first is the largest.",
        f"ls -S {folder} | head -n 1",
    )


def count_log_lines(draw: Draw) -> Problem:
    path, rng = f"/var/log/{draw.word()}.log", draw.rng
    users, levels = [draw.word() for _ in range(3)], ("INFO", "WARNING", "ERROR")
    lines = [(rng.choice(users), rng.choice(levels), rng.randint(1, 99)) for _ in range(rng.randint(20, 40))]
    user, level, _ = rng.choice(lines)
    count = sum(line[:2] == (user, level) for line in lines)
    return _question(
        "count_log_lines",
        f"Lines of {path} read `user level code`. How many lines of user {user} have the level {level}? "
        "Answer with the number.",
        _written(path, "".join(f"{u} {name} {code}\n" for u, name, code in lines)),
        count,
        f"I count the lines that begin with {user} {level}.",
        f"grep -c '^{user} {level} ' {path}",
    )


def sum_column(draw: Draw) -> Problem:
    path, rng = f"{draw.directory()}/{draw.word()}.csv", draw.rng
    items = [draw.word() for _ in range(3)]
    rows = [(rng.choice(items), rng.randint(1, 50)) for _ in range(rng.randint(10, 25))]
    item = rng.choice(rows)[0]
    return _question(
        "sum_column",
        f"Each line of {path} is `item,amount`. What do the amounts of {item} add up to? Answer with the number.",
        _written(path, "".join(f"{name},{amount}\n" for name, amount in rows)),
        sum(amount for name, amount in rows if name == item),
        f"I add up the second column where the first is {item}.",
        f"awk -F, '$1 == \"{item}\" {{s += $2}} END {{print s}}' {path}",
    )


def replace_word(draw: Draw) -> Problem:
    folder, old, new = draw.directory(), draw.word(), draw.word()
    names = [f"{draw.word()}.txt" for _ in range(draw.rng.randint(2, 4))]
    init = "\n".join(_written(f"{folder}/{name}", f"the {old} is here\nkeep this line\n{old}\n") for name in names)
    check = "\n".join(
        f'[ "$(cat {folder}/{name})" = "$(printf "the {new} is here\\nkeep this line\\n{new}")" ] || exit 1'
        for name in names
    )
    return _operation(
        "replace_word",
        f"In every .txt file in {folder}, replace each `{old}` by `{new}` and change nothing else.",
        init,
        check,
        "sed can replace the word in all the files at once.",
        f"sed -i 's/{old}/{new}/g' {folder}/*.txt",
        f"grep -r . {folder}",
    )


def set_permissions(draw: Draw) -> Problem:
    folder, ending = draw.directory(), draw.extension()
    mode, words = draw.rng.choice(
        (
            ("600", "readable and writable by their owner and by nobody else in any way"),
            ("640", "readable and writable by their owner, readable by their group, and closed to all others"),
            ("444", "readable by everyone and writable by nobody"),
        )
    )
    names = [f"{draw.word()}.{ending}" for _ in range(3)]
    other = f"{draw.word()}.other"
    paths = [f"{folder}/{name}" for name in names]
    init = f"{_made([*paths, f'{folder}/{other}'])}\nchmod 755 {folder}/*"
    check = f'[ "$(stat -c %a {" ".join(paths)} | sort -u)" = {mode} ] && [ "$(stat -c %a {folder}/{other})" = 755 ]'
    return _operation(
        "set_permissions",
        f"Make the .{ending} files in {folder} {words}. None may be executable. Leave other files alone.",
        init,
        check,
        f"That is the mode {mode}; I set it on the .{ending} files.",
        f"chmod {mode} {folder}/*.{ending}",
        f"ls -l {folder}",
    )


def rename_files(draw: Draw) -> Problem:
    folder = draw.directory()
    old, new = draw.rng.sample(_EXTENSIONS, 2)
    names = [draw.word() for _ in range(draw.rng.randint(3, 5))]
    init = "\n".join(_written(f"{folder}/{name}.{old}", f"{name}\n") for name in names)
    check = "\n".join(
        f'[ ! -e {folder}/{name}.{old} ] && [ "$(cat {folder}/{name}.{new})" = {name} ] || exit 1' for name in names
    )
    return _operation(
        "rename_files",
        f"Rename every file in {folder} that ends in .{old} so that it ends in .{new} instead.",
        init,
        check,
        "I go through the files and move each to its name with the new ending.",
        f'cd {folder}\nfor f in *.{old}; do\n  mv "$f" "${{f%.{old}}}.{new}"\ndone',
        f"ls {folder}",
    )


def create_user(draw: Draw) -> Problem:
    user, group, uid = draw.word(), draw.word(), draw.rng.randint(1200, 4000)
    home = f"/home/{user}"
    check = (
        f'[ "$(getent passwd {user} | cut -d: -f3,6,7)" = "{uid}:{home}:/bin/bash" ] && '
        f'[ -d {home} ] && [ "$(stat -c %U {home})" = {user} ] && id -nG {user} | tr " " "\\n" | grep -qx {group}'
    )
    return _operation(
        "create_user",
        f"Add a user {user} with the user id {uid}, the home directory {home} (which must exist and belong to the "
        f"user), the login shell /bin/bash and membership in the existing group {group}.",
        f"groupadd {group}",
        check,
        "useradd does all of it with the right options.",
        f"useradd -m -d {home} -s /bin/bash -u {uid} -G {group} {user}",
        f"id {user}; getent passwd {user}",
    )


def count_members(draw: Draw) -> Problem:
    group, number = draw.word(), draw.rng.randint(2, 5)
    users = [draw.word() for _ in range(number + 2)]
    init = f"groupadd {group}\n" + "\n".join(
        f"useradd {'-G ' + group if index < number else ''} {user}" for index, user in enumerate(users)
    )
    return _question(
        "count_members",
        f"How many users are members of the group {group}? Answer with the number.",
        init,
        number,
        "The last field of the group's entry names its members; I count them.",
        f"getent group {group} | cut -d: -f4 | tr ',' '\\n' | wc -l",
    )


def stop_process(draw: Draw) -> Problem:
    wanted, other = f"{draw.word()}d", f"{draw.word()}d"
    init = f"for n in {wanted} {other}; do cp /usr/bin/sleep /usr/local/bin/$n; done"
    start = f"{wanted} 100000 >/dev/null 2>&1 & {other} 100000 >/dev/null 2>&1 & sleep 0.2"
    return _operation(
        "stop_process",
        f"Stop the running program {wanted}. Leave every other program running.",
        init,
        f"! pgrep -x {wanted} >/dev/null && pgrep -x {other} >/dev/null",
        f"I end the process with the name {wanted}.",
        f"pkill -x {wanted}",
        f"sleep 0.1; pgrep -l '{wanted}|{other}'",
        start,
    )


def count_processes(draw: Draw) -> Problem:
    name, number = f"{draw.word()}d", draw.rng.randint(2, 6)
    start = f"for i in {' '.join(map(str, range(number)))}; do {name} 100000 >/dev/null 2>&1 & done; sleep 0.2"
    return _question(
        "count_processes",
        f"How many processes with the name {name} are running? Answer with the number.",
        f"cp /usr/bin/sleep /usr/local/bin/{name}",
        number,
        f"pgrep can count the processes named {name}.",
        f"pgrep -c -x {name}",
        start,
    )


def pack_archive(draw: Draw) -> Problem:
    folder, name = draw.directory(), draw.word()
    archive, files = f"/root/{name}.tar.gz", [draw.word() for _ in range(3)]
    base = folder.rpartition("/")[2]
    init = "\n".join(_written(f"{folder}/{file}.txt", f"{file} {name}\n") for file in files)
    check = "t=$(mktemp -d); tar -xzf " + archive + " -C $t || exit 1\n" + f"diff -r {folder} $t/{base}"
    return _operation(
        "pack_archive",
        f"Pack the directory {folder} into {archive}, a gzip-compressed tar archive that unpacks to one directory "
        f"{base}. Keep the directory.",
        init,
        check,
        "I let tar change to the parent directory, so that the archive holds the directory's name alone.",
        f"tar -czf {archive} -C {folder.rpartition('/')[0]} {base}",
        f"tar -tzf {archive}",
    )


def remove_broken_links(draw: Draw) -> Problem:
    folder = draw.directory()
    good, bad = [draw.word() for _ in range(2)], [draw.word() for _ in range(draw.rng.randint(2, 4))]
    init = f"mkdir -p {folder}\ntouch {folder}/target\n"
    init += "\n".join(f"ln -s target {folder}/{name}" for name in good) + "\n"
    init += "\n".join(f"ln -s missing-{name} {folder}/{name}" for name in bad)
    check = " && ".join([*(f"[ -L {folder}/{n} ]" for n in good), *(f"[ ! -L {folder}/{n} ]" for n in bad)])
    return _operation(
        "remove_broken_links",
        f"Delete the symbolic links in {folder} whose targets do not exist, and nothing else.",
        init,
        f"[ -f {folder}/target ] && {check}",
        "find tells broken links by -xtype l and can delete them.",
        f"find {folder} -xtype l -delete",
        f"ls -l {folder}",
    )


def sort_unique(draw: Draw) -> Problem:
    source, rng = f"{draw.directory()}/{draw.word()}.txt", draw.rng
    target = f"/root/{draw.word()}.txt"
    words = [draw.word() for _ in range(6)]
    lines = words + rng.choices(words, k=8)
    rng.shuffle(lines)
    wanted = "\\n".join(sorted(words))
    return _operation(
        "sort_unique",
        f"Write each different line of {source} once to {target}, in alphabetical order.",
        _written(source, "".join(f"{line}\n" for line in lines)),
        f'[ "$(cat {target})" = "$(printf "{wanted}")" ]',
        "sort -u puts the lines in order and drops those that are there already.",
        f"sort -u {source} > {target}",
        f"cat {target}",
    )


def make_command(draw: Draw) -> Problem:
    name, word = f"{draw.word()}-count", draw.word()
    check = (
        f"d=$(mktemp -d); cd $d; printf '{word}\\nb {word} {word}\\nc\\n' > one; printf 'c\\n' > two\n"
        f'[ "$({name} one)" = 2 ] && [ "$({name} two)" = 0 ]'
    )
    path = f"/usr/local/bin/{name}"
    script = f"cat > {path} <<'END'\n#!/bin/bash\ngrep -c '{word}' \"$1\"\nEND\nchmod +x {path}"
    return _operation(
        "make_command",
        f"Make a command `{name}` that can be called from anywhere: given the path of a file, it prints how many of "
        f"the file's lines hold the word `{word}`, as a number alone (0 where there is none).",
        "",
        check,
        "A short script in /usr/local/bin, which is on the PATH, made executable.",
        script,
        f"{name} /etc/passwd",
    )


def change_owner(draw: Draw) -> Problem:
    folder, user, group = draw.directory(), draw.word(), draw.word()
    paths = [f"{folder}/{draw.word()}/{draw.word()}.{draw.extension()}" for _ in range(3)]
    check = f'[ "$(find {folder} -exec stat -c %U:%G {{}} + | sort -u)" = {user}:{group} ]'
    return _operation(
        "change_owner",
        f"Let {folder} and everything below it belong to the user {user} and the group {group}.",
        f"useradd {user}\ngroupadd {group}\n{_made(paths)}",
        check,
        "chown -R changes the owner and group of a directory and all it holds.",
        f"chown -R {user}:{group} {folder}",
        f"ls -lR {folder}",
    )


FAMILIES: dict[str, Family] = {
    family.__name__: family
    for family in (
        count_files, largest_file, count_log_lines, sum_column, replace_word, set_permissions, rename_files,
        create_user, count_members, stop_process, count_processes, pack_archive, remove_broken_links, sort_unique,
        make_command, change_owner,
    )
}  # fmt: skip

NEED_USER_IDS = ("create_user", "change_owner")
"""families that a sandbox of a single user id, which is what an ordinary user gets, cannot hold"""


def generate(split: str, seed: int, index: int) -> Problem:
    """Problem `index` of a split; families come in turn. The same arguments give the same problem."""
    kind = list(FAMILIES)[index % len(FAMILIES)]
    problem = FAMILIES[kind](Draw.seeded(split, seed, index))
    return replace(problem, id=f"{split}-{seed}-{index:05d}-{kind}")
