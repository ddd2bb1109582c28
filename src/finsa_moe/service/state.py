"""What the routes share: the settings, the model in service, the dispatcher and the meters of one worker."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from finsa_moe.service.dispatcher import Dispatcher
from finsa_moe.service.meters import Meters
from finsa_moe.service.served import Shelf
from finsa_moe.service.settings import Settings
from finsa_moe.service.spool import Spool
from finsa_moe.service.supervised import Supervised


@dataclass
class State:
    """What one worker process holds between requests.

    Attributes:
        explains: Whether the extra for explanations is installed.
        guarded: Whether a token is asked for.
        supervised: What is known of the process that looks after this one.
        uploads: How many files are on their way in.
        files: How many files are being worked on.
    """

    settings: Settings
    shelf: Shelf
    dispatcher: Dispatcher
    meters: Meters
    spool: Spool
    explains: bool
    guarded: bool
    supervised: Supervised
    uploads: int = 0
    files: int = 0


def of(request: Request) -> State:
    """The state of the application that a request reached."""
    state: State = request.app.state.finsa
    return state
