"""One life of an engine in a world drawn from a seed: processes begin and end, faults strike, clients insist.

`live(seed)` gives the story, or raises Failed with the story so far and what went wrong.
"""

from __future__ import annotations

from random import Random
from typing import Any

import lmdb
import msgspec
import trio
import trio.testing

from api.config import Settings
from api.serve import open_ways_in
from engine import limits, tuning
from engine.delivery.channels import DEFAULT_NAMES, Outbox
from engine.errors import StoreError, Unavailable
from engine.kernel import Kernel
from engine.model import Effect
from engine.service import Service, ServiceConfig, running
from engine.store import frame
from engine.store.checkpoint import Checkpoints
from engine.store.journal import Journal
from engine.store.recover import Recovered, recover
from tests.sim.account import SEQ_BYTES, Breach, LifeAccount, keep
from tests.sim.clients import SimulatedChannel, StreamClient
from tests.sim.clocks import WallClock
from tests.sim.disk import Disk, PowerCut
from tests.sim.environment import opener
from tests.sim.http import HttpClient
from tests.sim.intruder import ELSEWHERE, HERE, Intruder, Leaver
from tests.sim.keyring import Keyring
from tests.sim.network import Net
from tests.sim.operators import Application, Onlooker, Operator
from tests.sim.plan import LifePlan, plan
from tests.sim.seams import SimPath, WaysIn, replaced
from tests.sim.story import Story
from tests.sim.web import Desk


class LifeFailed(Exception):
    """A failed life; `story` has its events."""

    def __init__(self, story: Story) -> None:
        super().__init__("\n".join([*story.lines, f"again: python -m tests.sim {story.seed}"]))
        self.story = story


DATA = SimPath("/sim")
LIFE_S = 900.0
"""Virtual seconds in which a life must have come to rest: bounds are far away, so a hang is a breach."""
ROOMY_BYTES = 1 << 23


class World:
    """All objects of one life. `boot` of the disk identifies the process that is alive."""

    def __init__(self, of: LifePlan, story: Story, clock: trio.testing.MockClock) -> None:
        self.plan = of
        self.story = story
        self.disk = Disk(self.chance("disk"))
        self.wall = WallClock(clock, of.pace)
        self.account = LifeAccount()
        self.channels_silent = False
        self.paid_is_launched = False
        self.service: Service | None = None
        self.net = Net(self.chance("network"), self._require_alive)
        self.desk = Desk(self._require_alive, is_open=of.managed)
        self.keyring = Keyring(of.keys, self.chance("keyring"))
        self.peer = ELSEWHERE if of.remote and self.keyring.events_key is not None else HERE
        """Return the address of the clients."""
        self.manager = ELSEWHERE if of.remote and self.keyring.guards_management else HERE
        """Return the address of the operator."""
        self._boot = 0
        self._wants_stop = trio.Event()
        self._cut = trio.Event()
        self._life = trio.CancelScope()
        self._roomy = self._over = self._concluded = False
        self._answered: dict[bytes, int] = {}
        self._failing = False

    def chance(self, name: str) -> Random:
        return Random(f"{name} {self.plan.seed}")

    def tell(self, who: str, what: str) -> None:
        self.story.tell(who, what)

    def require(self, boot: int) -> None:
        self.disk.require(boot)

    # What clients may do

    @property
    def alive(self) -> bool:
        return self.service is not None and self._boot == self.disk.boot

    def _require_alive(self) -> None:
        self.disk.require(self._boot)

    async def control(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        """Send an operation over the management API. Raise Unavailable without an answer."""
        service, boot = self.service, self._boot
        if service is None or not self.alive:
            raise Unavailable("down", "No server listens.")
        answer = await service.control(op, **args)
        if boot != self.disk.boot:
            raise Unavailable("down", "The answer was lost.")
        self.answered({"op": op, **msgspec.to_builtins(args)})
        return answer

    def answered(self, raw: dict[str, Any]) -> None:
        """Note that an operation was answered: it is durable, as often as it was answered."""
        key = msgspec.json.encode(raw, order="sorted")
        self._answered[key] = self._answered.get(key, 0) + 1
        self.account.answered(raw, self._answered[key])

    def outbox(self, limit: int) -> list[Effect]:
        """Return the effects that the application pulls."""
        if self.service is None or not self.alive:
            return []
        effects = self.service.outbox(0, limit)
        for effect in effects:
            self.account.left(effect)
        return effects

    # A life

    async def run(self) -> None:
        clients: list[StreamClient | HttpClient] = [
            (HttpClient if n < self.plan.http_clients else StreamClient)(self, n, self.chance(f"client {n}"))
            for n in range(self.plan.clients)
        ]
        operator = Operator(self, self.chance("operator"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._processes)
            nursery.start_soon(self._director, clients)
            nursery.start_soon(self._watch)
            if self.plan.managed:
                nursery.start_soon(Onlooker(self, self.chance("onlooker")).run)
            if self.plan.intrusions:
                nursery.start_soon(Intruder(self, self.chance("intruder")).run)
            if "events" in self.keyring.scopes.get("leaver", ()):
                nursery.start_soon(Leaver(self, self.chance("leaver")).run)
            if self.plan.pulled:
                nursery.start_soon(Application(self, self.chance("application")).run)
            with trio.move_on_after(LIFE_S) as self._life:
                async with trio.open_nursery() as outside:
                    outside.start_soon(operator.run)
                    for client in clients:
                        outside.start_soon(client.run)
                await self._rest()
            if self.account.is_too_large:
                await self._cut_short()
            elif self._life.cancelled_caught:
                states = [client.done for client in clients]
                raise Breach(
                    6, f"after {LIFE_S:.0f} s it has not come to rest (operator {operator.done}, {states})"
                )
            nursery.cancel_scope.cancel()

    async def _rest(self) -> None:
        """Wait until nothing is due or in flight; then stop cleanly and check the disk."""
        self.tell("world", "everything is acknowledged: faults end, and all comes to rest")
        self._over = True
        while not self._is_at_rest():  # noqa: ASYNC110
            await trio.sleep(0.5)
        service = self.service
        assert service is not None
        self.account.conclude(service.kernel, self.wall.now_ms())
        await self._end()
        found, kernel = self._open(self.disk)
        keep(2, found.batches == 0, "a clean stop left a journal tail")
        self.account.compare(kernel)

    async def _cut_short(self) -> None:
        """End a life whose flows launch each other without bound by a loss of power."""
        self.tell("world", "too large a life to come to rest")
        self._kill(power=True)
        await self._end()
        found, kernel = self._open(self.disk)
        self.account.recovered(kernel, found)

    async def _end(self) -> None:
        """Declare the running process, if any, the last one."""
        self._concluded = True
        self._wants_stop.set()
        while self.service is not None:  # noqa: ASYNC110
            await trio.sleep(0.5)

    def _is_at_rest(self) -> bool:
        service, account = self.service, self.account
        if service is None or not self.alive or not self._roomy or self._failing or not service.accepts_input:
            return False
        due = service.kernel.next_due_ms()
        timely = due is None or due > max(service.kernel.now_ms, self.wall.now_ms())
        settled = not service.kernel.counts()["effects_pending"] and len(account.settled) == len(
            account.effects
        )
        return timely and settled and service.durable_seq == service.kernel.seq

    async def _processes(self) -> None:
        """Run one process after the other, with pauses between them."""
        chance = self.chance("processes")
        while True:
            await self._process()
            self._failing = False
            text = self.account.mounted(self.disk)
            if text:
                self.tell("disk", text)
            if self._concluded:
                return
            await trio.sleep(chance.choice((0.1, 1, 5)))
            if self.account.in_doubt:
                continue
            if chance.random() < 0.4:
                self._flip(chance)
            if chance.random() < 0.2:
                self._forge(chance)

    async def _process(self) -> None:
        """Run a process from start to end. Anything but a power cut or a broken disk is a breach."""
        self._wants_stop, self._cut = trio.Event(), trio.Event()
        self._boot = boot = self.disk.boot
        settings = Settings(data=str(DATA), write_keys=self.keyring.write_keys)
        try:
            async with running(self._config()) as service, trio.open_nursery() as nursery:
                nursery.start_soon(self._die, boot)
                self.tell("engine", f"is up at batch {service.kernel.seq}")
                self.service = service
                await open_ways_in(service, settings, lambda line: None, self._wants_stop)
                nursery.cancel_scope.cancel()
        except BaseException as error:
            await self._ended(error)
        else:
            self.tell("engine", "has stopped in good order")
        finally:
            self.service = None
            self.net.hang_up()
            self.disk.cut(power=False)

    async def _die(self, boot: int) -> None:
        """End a process that is cut off, wherever it is."""
        while boot == self.disk.boot:
            await self._cut.wait()
        self.require(boot)

    def _kill(self, *, power: bool) -> None:
        self.disk.cut(power=power)
        self._cut.set()
        self._wants_stop.set()

    async def _ended(self, error: BaseException) -> None:
        """Record how a process ended; raise an error that must not end it."""
        rest = error
        if isinstance(error, BaseExceptionGroup):
            _, rest = error.split(PowerCut)  # type: ignore[assignment]
        elif isinstance(error, PowerCut):
            rest = None  # type: ignore[assignment]
        if rest is None:
            self.tell("engine", "is dead")
            return
        if self._failing and (broken := _store_errors(rest)) is not None:
            self.tell("engine", f"has stopped: {broken}")
            return
        raise rest

    def _config(self) -> ServiceConfig:
        size = ROOMY_BYTES if self._roomy else 0
        names = list(DEFAULT_NAMES)
        chance = self.chance(f"channels {self._boot}")
        pushed = SimulatedChannel(self, chance, self._boot, chance.choice((1, 3)))
        channels: dict[str, SimulatedChannel | Outbox] = dict.fromkeys(names, pushed)
        if self.plan.pulled:
            channels["webhook"] = Outbox()
        return ServiceConfig(
            data=DATA,  # type: ignore[arg-type]
            channels=channels,
            clock=self,
            chance=self.chance(f"delivery {self._boot}"),
            kernel=self.account.begun,
            journal_map_bytes=max(size, self.plan.journal_bytes),
            checkpoint_map_bytes=max(size, self.plan.checkpoint_bytes),
            checkpoint_every_bytes=self.plan.checkpoint_every_bytes,
            checkpoint_every_s=self.plan.checkpoint_every_s,
        )

    def now_ms(self) -> int:
        """Return the clock of the engine."""
        now_ms = self.wall.now_ms()
        self.account.latest_ms = max(self.account.latest_ms, now_ms)
        return now_ms

    # Faults

    async def _director(self, clients: list[StreamClient | HttpClient]) -> None:
        """Inject faults one after the other; after the last, give the engine room."""
        chance = self.chance("director")
        for _ in range(self.plan.fault_count):
            await trio.sleep(chance.choice((0.01, 0.3, 1, 3, 8)) * chance.random() * 2)
            if self._over:
                break
            await self._fault(chance.choice(self.plan.faults), chance, clients)
        await trio.sleep(5)
        self.disk.calm()
        self.channels_silent = False
        self.tell("director", "has no more faults: the engine is started anew, with larger maps")
        while not self._roomy:
            self._roomy = True
            self._wants_stop.set()
            await trio.sleep(1)

    async def _fault(self, fault: str, chance: Random, clients: list[StreamClient | HttpClient]) -> None:
        power = chance.random() < 0.6
        how = "the power goes" if power else "kill -9"
        if fault == "kill" and self.alive:
            self.tell("director", how)
            self._kill(power=power)
        elif fault == "doom":
            calls = chance.choice((1, 2, 3, 4, 7, 20))
            self.tell("director", f"{how} at disk call {calls} from now")
            self.disk.cut_in(calls, power=power)
        elif fault == "full":
            self.tell("director", "the disk is full")
            self.disk.full = True
            await trio.sleep(chance.choice((0.5, 5, 40)))
            self.disk.full = False
            self.tell("director", "the disk has room again")
        elif fault == "broken":
            self.tell("director", "the disk will fail once")
            self._failing = True
            self.disk.fail_in(chance.choice((1, 2, 3, 5)))
        elif fault == "silent":
            self.tell("director", "channels are silent")
            self.channels_silent = True
            await trio.sleep(chance.choice((1, 10, 200)))
            self.channels_silent = False
        elif fault == "jump":
            ms = chance.choice((-86_400_000, -3_600_000, -1, 1_000, 3_600_000, 86_400_000, 3 * 86_400_000))
            self.tell("director", f"the wall clock jumps {ms / 1000:+.3f} s")
            self.wall.jump(ms)
        elif fault == "tear":
            client = chance.choice(clients)
            if client.line is not None:
                client.line.tear()
        elif fault == "restart" and self.alive:
            self.tell("director", "a clean restart")
            self._wants_stop.set()

    async def _watch(self) -> None:
        """Check the bounds repeatedly."""
        while True:
            await trio.sleep(0.05)
            if self.account.is_too_large:
                self._life.cancel()
                return
            if self.service is None:
                continue
            ingest = self.service.statistics()["ingest"]
            most = limits.INTAKE_QUEUE_BYTES_MAX + tuning.STREAM_READ_BYTES + limits.MESSAGE_BYTES_MAX
            keep(9, ingest["queued_bytes"] <= most, f"{ingest['queued_bytes']} bytes are queued")
            keep(
                9,
                ingest["batches_ahead"] <= tuning.PIPELINE_BATCHES_MAX,
                f"{ingest['batches_ahead']} batches are ahead of the disk",
            )

    # Looking at a disk

    def recover(self, kernel: Kernel, journal: Journal, checkpoints: Checkpoints, *rest: Any) -> Recovered:
        """Recover as the engine does at a start, then compare with the undisturbed kernel."""
        found = recover(kernel, journal, checkpoints, *rest)
        self.account.recovered(kernel, found)
        self.tell(
            "engine", f"recovers: checkpoint at {found.checkpoint_seq}, {found.batches} batches after it"
        )
        return found

    def _open(self, disk: Disk) -> tuple[Recovered, Kernel]:
        """Recover from a copy of a disk, beside the life of the engine."""
        own, self.disk = self.disk, disk.copy()
        try:
            journal = Journal(DATA / "journal", map_bytes=ROOMY_BYTES)  # type: ignore[arg-type]
            checkpoints = Checkpoints(DATA / "checkpoints", map_bytes=ROOMY_BYTES)  # type: ignore[arg-type]
            kernel = Kernel(key=journal.key)
            return recover(kernel, journal, checkpoints), kernel
        finally:
            self.disk = own

    def _flip(self, chance: Random) -> None:
        """Flip a bit of a value in a copy of the disk: a start must refuse it, or it did not matter."""
        damaged = self.disk.copy()
        values = values_of(damaged)
        if not values:
            return
        found, kernel = self._open(self.disk)
        self.account.recovered(kernel, found)
        name, key, at, length = chance.choice(values)
        place, bit = at + chance.randrange(length), chance.randrange(8)
        damaged.files[name].content[place] ^= 1 << bit
        where = f"bit {bit} of byte {place - at} of {key.hex()} in the {name}"
        try:
            _, kernel = self._open(damaged)
        except StoreError as error:
            self.tell("flip", f"{where}: {error.code}: {error.detail}")
            return
        except lmdb.Error as error:
            raise Breach(5, f"{where}: {error!r}") from error
        try:
            self.account.compare(kernel)
        except Breach as breach:
            raise Breach(5, f"{where} was served: {breach}") from breach
        self.tell("flip", f"{where}: nothing depends on it")

    def _forge(self, chance: Random) -> None:
        """Put a frame without inputs, its checksum right, in place of one that had effects: only digests tell."""
        forged = self.disk.copy()
        found, kernel = self._open(forged)
        self.account.recovered(kernel, found)
        frames = self.account.frames[found.checkpoint_seq : -1]
        chosen = [one for one in frames if one.seq in self.account.with_effects and one.count]
        if not chosen:
            return
        of = chance.choice(chosen)
        head = {"version": of.version, "count": 0, "previous": of.previous}
        key, value = of.seq.to_bytes(SEQ_BYTES), frame.encode(of.seq, of.now_ms, bodies=[b""], **head)
        environment = opener(lambda: forged, lambda commit, durable: None)("/journal", map_size=ROOMY_BYTES)
        with environment.begin(write=True) as transaction:
            transaction.put(key, value)
        try:
            self._open(forged)
        except StoreError as error:
            keep(5, error.code == "digest", f"a forged batch {of.seq} gives {error}")
            self.tell("forger", f"{error}")
        else:
            raise Breach(5, f"the inputs of batch {of.seq} were taken away, and it was served")


def values_of(disk: Disk) -> list[tuple[str, bytes, int, int]]:
    """Return (file, key, place, length) of everything that the engine has written."""
    found = []
    for name in sorted(disk.files):
        environment = opener(lambda: disk, lambda commit, durable: None)(f"/{name}", map_size=ROOMY_BYTES)
        places = sorted(environment.tree.items())
        found += [(name, key, page * 256, length) for key, (page, length) in places if length]
    return found


def _breaches(error: BaseException) -> list[BaseException]:
    """Yield the exceptions inside groups, breaches of promises first."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    found = [leaf for one in error.exceptions for leaf in _breaches(one)]
    return sorted(found, key=lambda leaf: not isinstance(leaf, Breach))


def _store_errors(error: BaseException) -> str | None:
    """Return the texts of the disk's errors, or None if there is any other error."""
    if isinstance(error, BaseExceptionGroup):
        text = [_store_errors(one) for one in error.exceptions]
        return None if None in text else "; ".join(one for one in text if one is not None)
    if isinstance(error, StoreError | Unavailable) or (
        isinstance(error, lmdb.Error) and "output" in str(error)
    ):
        return str(error)
    return None


def live(seed: int) -> Story:
    """Run the life of a seed. Raises Failed."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    of = plan(seed)
    story = Story(of, clock)
    world = World(of, story, clock)
    opens = opener(lambda: world.disk, world.account.watch)
    ways_in = WaysIn(
        world.net,
        world.desk,
        world.keyring.read,
        world.keyring.mark,
        bodies_bytes_max=of.bodies_bytes_max,
        in_flight_bytes_max=of.in_flight_bytes_max,
    )
    encoded = world.account.encoded
    with replaced(world.chance("seams"), clock, opens, world.recover, encoded, of.bounds, ways_in):
        try:
            trio.run(world.run, clock=clock)
            story.compared = world.account.compare_with_reference()
        except BaseException as error:
            cause = next(iter(_breaches(error)), error)
            story.failed(cause)
            raise LifeFailed(story) from cause
    story.conclude(world.account)
    return story
