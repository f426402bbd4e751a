"""The consumer group: who reads which partition, and what happens when a member stays away too long."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bpsim.faults import Conditions
from bpsim.kernel.buffer import Buffer, Range
from bpsim.kernel.clock import Alarm, Clock
from bpsim.streams import Draws, Streams, to_grid
from bpsim.tiers.broker import Broker
from bpsim.tiers.consumer.fetch import FetchLimits
from bpsim.tiers.consumer.member import Member
from bpsim.tiers.consumer.prefetch import PrefetchingMember
from bpsim.tiers.consumer.spec import ConsumerSpec


class Consumer:
    """Partitions are shared out in contiguous ranges; members beyond their number have nothing to do. A member that overruns
    `max_poll_interval` leaves: what it had not committed is read again by others, and it joins again with its next poll. Every
    change is a rebalance: with the eager protocol nobody polls until everybody has joined, with the cooperative one only
    partitions that move change hands."""

    def __init__(
        self,
        clock: Clock,
        spec: ConsumerSpec,
        streams: Streams,
        broker: Broker,
        record_bytes: int,
        outbox: Buffer,
        work: Callable[[int], float],
        row: Callable[[tuple[float, ...]], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.spec = spec
        self.broker = broker
        self.outbox = outbox
        self.alive = True
        self.on_read: Callable[[int, list[Range]], None] = lambda partition, ranges: None
        self.on_lost: Callable[[Iterable[int]], None] = lambda partitions: None
        """Told when partitions are taken from a member that has not committed what it read."""
        self.on_given_back: Callable[[int, list[tuple[int, int]]], None] = lambda partition, ranges: None
        """Told when a member forgets the last records it fetched of a partition, unhandled."""
        self._conditions = Conditions()
        self._mark = mark
        self._paused: set[int] = set()
        self._gone: set[Member] = set()
        """Members that have left the group and not come back."""
        self._joining: set[Member] | None = None
        """During an eager rebalance, those it waits for."""
        self._patience = Alarm(clock, self._go_without)
        broker.log.reset_to_end = spec.offset_reset == "latest"
        limits = FetchLimits.of(spec, record_bytes, broker.spec.brokers)
        self.members: list[Member] = []
        kind = PrefetchingMember if spec.prefetch else Member
        for number in range(spec.members):
            draws = Draws(streams.rng(f"consumer.fetch.{number}" if number else "consumer.fetch"), spec.fetch_latency.sample)
            self.members.append(kind(clock, spec, number, self, broker.log, outbox, draws, limits, work, row))
        self._owner: list[Member | None] = [None] * broker.spec.partitions
        self._share_out(self.members)
        broker.log.on_item = self._note_item
        outbox.on_room = self._on_room
        self._turn = 0

    def _share_out(self, members: list[Member]) -> None:
        """Range assignment: member i of m reads partitions i · p / m up to (i + 1) · p / m."""
        count = len(self._owner)
        for member in self.members:
            member.own(set())
        for index, member in enumerate(members):
            mine = set(range(index * count // len(members), (index + 1) * count // len(members)))
            member.own(mine)
            for partition in mine:
                self._owner[partition] = member

    def _note_item(self, partition: int) -> None:
        owner = self._owner[partition]
        if owner is not None:
            owner.unread[partition] = None
            owner.poll()

    def _on_room(self) -> None:
        self._turn = (self._turn + 1) % len(self.members)
        for member in self.members[self._turn :] + self.members[: self._turn]:
            member.resume()
        self.poll()

    def poll(self) -> None:
        """Let every member that is free look for records."""
        for member in self.members:
            member.poll()

    @property
    def polling(self) -> bool:
        """Whether anybody polls."""
        now = self._conditions
        return self._joining is None and now.accepting and now.reachable and self.alive

    def note_pause(self, number: int, paused: bool) -> None:
        """Marks say when the first member pauses, and when the last one goes on."""
        if paused and not self._paused:
            self._mark("pause_begins", float(self.broker.log.held))
        if not paused and self._paused == {number}:
            self._mark("pause_ends", float(self.broker.log.held))
        (self._paused.add if paused else self._paused.discard)(number)

    def overran(self, member: Member) -> None:
        """It leaves the group; its partitions are read by others, from the last commit on."""
        self._mark("evicted", float(member.number))
        lost, self._gone = member.partitions, self._gone | {member}
        self._take_from(member)
        self.on_lost(lost)
        self._rebalance(lost)

    def _take_from(self, member: Member) -> None:
        for partition in member.partitions:
            self._owner[partition] = None
        member.own(set())

    def came_back(self, member: Member) -> None:
        """A member that had left joins again; a rebalance goes on once it waits for nobody."""
        if member in self._gone:
            self._gone.discard(member)
            self._rebalance(set())
        elif self._joining is not None:
            self._joining.discard(member)
            self._end_if_complete()

    def _rebalance(self, moved: set[int]) -> None:
        self._mark("rebalance", float(len(self.members) - len(self._gone)))
        if self.spec.rebalance == "cooperative":
            self._share_out_moved(moved)
            return
        self._joining = {member for member in self.members if not member.free and member not in self._gone}
        self._patience.set(self.clock._now + to_grid(self.spec.max_poll_interval or 0.0))
        self._end_if_complete()

    def _end_if_complete(self) -> None:
        if self._joining is not None and not self._joining:
            self._joining = None
            self._patience.cancel()
            if there := [member for member in self.members if member not in self._gone]:
                self._share_out(there)
            self.poll()

    def _go_without(self) -> None:
        """Who has not joined within `max_poll_interval` is left out, and reads its records for nothing."""
        for member in self._joining or ():
            self._gone.add(member)
            lost = member.partitions
            self._take_from(member)
            self.on_lost(lost)
        self._joining = set()
        self._end_if_complete()

    def _share_out_moved(self, moved: set[int]) -> None:
        """Members keep what they have; what nobody has, or somebody has too much of, goes to those with the least."""
        there = [member for member in self.members if member not in self._gone]
        if not there:
            return
        owned = {member: set(member.partitions) for member in there}
        homeless = sorted(moved | {number for number, owner in enumerate(self._owner) if owner is None})
        fair = -(-len(self._owner) // len(there))
        for mine in owned.values():
            while len(mine) > fair:
                homeless.append(mine.pop())
        for partition in homeless:
            min(owned.values(), key=len).add(partition)
        for member, mine in owned.items():
            if not member.partitions <= mine:
                member.own(member.partitions & mine)
        for member, mine in owned.items():
            if mine != member.partitions:
                member.own(mine)
            for partition in mine:
                self._owner[partition] = member
        self.poll()

    def set_alive(self, alive: bool) -> None:
        """The process is gone, or there again."""
        self.alive = alive
        self.poll()

    def abandon(self, now: float) -> None:
        """The process died: everybody forgets what was fetched, and the group begins anew."""
        for member in self.members:
            member.abandon(now)
        self._gone = set()
        self._joining = None
        self._patience.cancel()
        self._share_out(self.members)

    def look_again(self) -> None:
        """Records have become unread: find out whose they are."""
        for member in self.members:
            member.own(member.partitions)

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or stop polling."""
        self._conditions = now
        for member in self.members:
            member.set_speed(self.clock.now, now.speed)
        self.poll()

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what was fetched and not handed on."""
        return [row for member in self.members for row in member.unfinished()]
