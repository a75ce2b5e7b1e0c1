"""musterd is killed with SIGKILL at random moments: same end, one launch, mondorestore's result not lost."""
import json
import random

from .common import Medium, gathered, medium, recipes, stack_case, stack_disks, stack_expectations, witness
from .pulled import wait_ready

CASES = []
DISC = medium.disc(recipes.STACK_BACKUP)
# Between the death of one daemon and the start of the next there is none to hit.
KILL = "i=0; until p=$(pidof musterd) && kill -9 $p; do i=$((i+1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done"


def kill_after(milliseconds):
    def step(stage):
        stage.vm.after(milliseconds)
        code, _ = stage.vm.run(KILL)
        stage.notes["kills"] = stage.notes.get("kills", 0) + (code == 0)
    return step


def plug(name):
    return lambda stage: stage.plug(name)


def wait_running(stage):
    stage.vm.wait_section("running", 150)


def killed_enough(number):
    def check(stage):
        if stage.notes.get("kills", 0) < number:
            raise witness.Failed("only %d kills hit a daemon" % stage.notes.get("kills", 0))
    return check


def result_known(stage):
    """The stand-in ended with 3 errors: after all those kills the daemon knows."""
    def holds(status):
        launch = [t for t in status["things"] if t["id"] == "launch"]
        return status["phase"] == "done" and launch and "3" in launch[0]["why"]
    stage.wait_status(holds, 30, "mondorestore's result 3 in the status")


def looked_at_nothing(stage):
    """A daemon that is started while mondorestore runs reads no disk and puts nothing together."""
    lines = stage.vm.check("cat /run/muster/journal.jsonl").splitlines()
    effects = [e for e in (json.loads(line) for line in lines if line.endswith("}")) if "effect" in e]
    done = [(e["handler"], e["effect"], e["subject"]) for e in effects
            if e["handler"] in ("probe", "md", "lvm", "medium", "launch")]
    if [d for d in done if d[:2] not in (("launch", "follow"), ("launch", "end"))]:
        raise witness.Failed("while mondorestore ran the daemon did: %s" % done)


for seed in range(1, 6):
    draw = random.Random(seed * 104729)
    late = ["a0", "a1", "a2", "b0", "b1", "p0", "medium"]
    draw.shuffle(late)
    steps = []
    # two or three kills somewhere between the arrivals
    where = sorted(draw.sample(range(len(late)), 2))
    for position, item in enumerate(late):
        steps.append(plug(item))
        if position in where:
            steps.append(kill_after(draw.randint(0, 900)))
    steps += [wait_running, kill_after(draw.randint(0, 800)), kill_after(draw.randint(300, 1500))]
    CASES.append(stack_case(
        "killed_%d" % seed, "musterd killed four times: between arrivals of %s, and while mondorestore runs"
        % " ".join(late), disks=stack_disks(late=late), medium=Medium(DISC, "usb", late=True), steps=steps,
        words="compare_mode vmtest.do=long:6,result:3", group="stack_killed",
        expect=[killed_enough(4), result_known, *stack_expectations(), looked_at_nothing]))

def arrays_ready(stage):
    """A step: each array is the daemon's own again, and not one that it failed to start."""
    def holds(status):
        arrays = [t for t in status["things"] if t["id"].startswith("array:")]
        return len(arrays) == 2 and all(t["state"] == "ready" for t in arrays)
    stage.wait_status(holds, 30, "both arrays ready")


CASES.append(stack_case(
    "killed_assembled", "musterd killed when all but the medium is put together: what runs is taken as it is",
    medium=Medium(DISC, "usb", late=True), group="stack_killed",
    steps=[gathered, wait_ready("root", "da-ta", "home--x", "span-ning"), kill_after(300), gathered,
           wait_ready("root", "da-ta", "home--x", "span-ning"), arrays_ready, plug("medium")],
    expect=[killed_enough(1), *stack_expectations()]))
