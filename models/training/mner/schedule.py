"""A whole campaign in one command that may be cut off and called again: teachers, their student, the families.

    python -m mner.schedule --minutes 9 --parallel 6          # again and again, until it says that all is done
    python -m mner.schedule --list

Steps that need nothing of each other run side by side. A step that was cut off goes on from its last epoch; one that is done is not run again
(`.work/done/NAME`). Each step's output is in `.work/logs/NAME.log`; what it ended with is printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

EXTRA = "--warm-up-corpora broad_twitter,wnut17,tweebank_ner"
PLAIN = tuple(f"teacher-{i}" for i in (1, 2, 3))
ADAPTED = tuple(f"adapted-{i}" for i in (4, 5, 6))
STUDENTS = tuple(f"student-{i}" for i in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    command: str  # after `python -m`; {work} is the folder of results
    after: tuple[str, ...] = ()
    wants: str = ""  # a file below the folder of results without which the step is left out


def steps() -> list[Step]:
    out = [Step("adapt", "mner.text.adapt --out {work}/adapted --epochs 6")]
    for seed, name in enumerate(PLAIN, 1):
        out.append(Step(name, f"mner.text.train --out {{work}}/{name} --epochs 8 --seed {seed} --cut-links {EXTRA}"))
    for seed, name in enumerate(ADAPTED, 4):
        encoder = "--encoder {work}/adapted/final.pt"
        out.append(Step(name, f"mner.text.train --out {{work}}/{name} --epochs 8 --seed {seed} --cut-links {EXTRA} {encoder}", ("adapt",)))
    teachers = " ".join(f"{{work}}/{n}/best.pt" for n in (*PLAIN, *ADAPTED))
    out.append(Step("together", f"mner.text.ensemble {teachers}", (*PLAIN, *ADAPTED)))
    out.append(Step("soften", f"mner.text.distil soften --teachers {teachers} --out {{work}}/soft", (*PLAIN, *ADAPTED)))
    for seed, name in enumerate(STUDENTS, 1):
        start = f"--init {{work}}/{ADAPTED[seed - 1]}/best.pt"
        out.append(Step(name, f"mner.text.distil train --soft {{work}}/soft {start} --out {{work}}/{name} --epochs-of-all 6 --epochs 6 --seed {seed}", ("soften",)))
    pictures = "--bridged {work}/bridged"
    for seed, student in enumerate(STUDENTS, 1):
        common = f"--text {{work}}/{student}/best.pt --seed {seed} --epochs 4"
        out.append(Step(f"ita-{seed}", f"mner.families.train --family ita {common} {pictures} --out {{work}}/ita-{seed}", (student,)))
        for family, more in (("mcg", "--vectors {work}/vectors"), ("bga", "")):
            needs = (student, "vectors") if more else (student,)
            command = f"mner.families.train --family {family} {common} {pictures} {more} --out {{work}}/{family}-{seed}"
            out.append(Step(f"{family}-{seed}", command, needs, "bridged/twitter2017.npz"))
    return [*out, Step("vectors", "mner.text.vectors --out {work}/vectors")]


class Campaign:
    def __init__(self, work: Path, every: list[Step]) -> None:
        self.work = work
        self.done_folder, self.logs = work / "done", work / "logs"
        self.done_folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.every = [s for s in every if not s.wants or (work / s.wants).exists()]
        self.failed: set[str] = set()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def done(self, name: str) -> bool:
        return (self.done_folder / name).exists()

    def left(self) -> list[Step]:
        return [s for s in self.every if not self.done(s.name) and s.name not in self.failed]

    def ready(self) -> list[Step]:
        return [s for s in self.left() if s.name not in self.running and all(self.done(n) for n in s.after)]

    def start(self, step: Step) -> None:
        command = [sys.executable, "-u", "-m", *step.command.format(work=self.work).split()]
        with (self.logs / f"{step.name}.log").open("ab") as log:
            self.running[step.name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def reap(self) -> None:
        for name, process in list(self.running.items()):
            if (code := process.poll()) is None:
                continue
            del self.running[name]
            if code:
                self.failed.add(name)
            else:
                (self.done_folder / name).touch()
            lines = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()
            print(f"{name}: {'done' if not code else f'failed with {code}'}", *lines[-4:], sep="\n  ", flush=True)

    def run(self, seconds: float, parallel: int, tick: float = 0.2) -> bool:
        """Until nothing is left that can run, or the time is up; whether everything is done."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for step in self.ready()[: parallel - len(self.running)]:
                self.start(step)
            if not self.running:
                break
            time.sleep(tick)
            self.reap()
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait()
        self.running.clear()
        return not self.failed and not self.left()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".work"))
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--parallel", type=int, default=6)
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        for step in steps():
            print(f"{step.name:12} after {', '.join(step.after) or 'nothing'}: python -m {step.command.format(work=args.work)}")
        return
    campaign = Campaign(args.work, steps())
    whole = campaign.run(60 * args.minutes, args.parallel)
    print("all done" if whole else f"left: {', '.join(s.name for s in campaign.left())}; failed: {', '.join(sorted(campaign.failed)) or 'none'}")
    sys.exit(0 if whole else 3)


if __name__ == "__main__":
    main()
