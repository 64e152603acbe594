"""What clients and servers have in common: their dice, and how they say pieces of anything."""

import random
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any


class Dice(random.Random):
    """Seeded with all that is to tell them from others."""

    def __init__(self, *names: Any):
        super().__init__(" ".join(str(name) for name in names))

    def chance(self, share: float) -> bool:
        return self.random() < share

    def time(self, *durations: str) -> str:
        return self.choice(durations)

    def size(self) -> int:
        """Of a body: mostly small, sometimes more than any window or buffer has room for."""
        return self.choice((0, 1, self.randrange(100), self.randrange(5000), self.randrange(5000), self.randrange(200000)))

    def data(self) -> bytes:
        return self.choice((b"x", b"\0", b"{}")) * self.size()

    def grpc_message(self) -> bytes:
        return self.choice((b"\0\0\0\0\0", b"\0\0\0\0\2hi", b"\0\0\0\0\xffcut", b"\1\0\0\0\2hi"))


class EasyDice(Dice):
    """Nothing happens by chance, and of several choices it is the last one."""

    def chance(self, share: float) -> bool:
        return False

    def choice(self, values: Any) -> Any:
        return values[-1]

    def time(self, *_: str) -> str:
        return "60s"

    def randrange(self, *_: int) -> int:  # type: ignore[override]
        return 0


class Stopped(Exception):
    """The dice have ended the connection."""


def reset(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def listen(sock: socket.socket, dice: Dice, longest: float = 0.1) -> bytes:
    """What comes within a short time, if anything; ends the connection if the peer has."""
    sock.settimeout(dice.random() * longest + 0.001)
    try:
        data = sock.recv(1 << 16)
    except TimeoutError:
        return b""
    finally:
        sock.settimeout(5)
    if not data:
        raise Stopped
    return data


def say(sock: socket.socket, dice: Dice, pieces: Iterable[bytes], breaks: float = 0.01) -> None:
    """Sends the pieces, with pauses; at any of them the dice may end the connection instead."""
    for piece in pieces:
        if dice.chance(breaks):
            if dice.chance(0.5):
                reset(sock)
            raise Stopped
        sock.sendall(piece)
        if dice.chance(0.1):
            pause(dice)


def pause(dice: Dice) -> None:
    time.sleep(dice.random() * 0.05)


def talk(sock: socket.socket, dice: Dice) -> None:
    """The inside of a tunnel: says and hears this and that, and ends in one way or another."""
    for _ in range(dice.randrange(8)):
        if dice.chance(0.5):
            say(sock, dice, [dice.data()])
        else:
            listen(sock, dice)
    if dice.chance(0.4):
        sock.shutdown(socket.SHUT_WR)
        for _ in range(dice.randrange(4)):
            listen(sock, dice)
    elif dice.chance(0.3):
        reset(sock)
    raise Stopped
