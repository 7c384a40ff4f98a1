"""A server's models follow their sources: what these give is loaded, warmed up, and then serves."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from penstock.errors import PenstockError
from penstock.serving.routes import Routes, Servable
from penstock.serving.server.models import RefusedError, ServedModel
from penstock.serving.server.state import read_state
from penstock.serving.server.versions import FAILED, READY
from penstock.serving.sources import Source

_log = logging.getLogger("penstock.serving")

# Where a source cannot be looked at, what serves goes on; how long a look may take.
_LOOK_SECONDS = 60.0


@dataclass
class Follower:
    """Keeps a model at what its source gives.

    What a release has told the server stays until the source gives another version than it gave
    before, as when its alias is moved.
    """

    model: ServedModel
    source: Source
    seconds: float
    _found: Servable | None = None
    _said: str = ""

    async def follow(self) -> None:
        """Look at the source, now and again and again."""
        await self._take_up()
        while True:
            await self._step()
            await asyncio.sleep(self.seconds)

    async def _take_up(self) -> None:
        """Serve what was served before the server ended, unless the source has moved on."""
        state = await asyncio.to_thread(read_state, self.model.folder, self.model.name)
        if state is None:
            return
        found = await self._look()
        if found is not None and state.followed not in (None, found.version):
            return
        # What is kept may serve, whatever is the matter with the source.
        trouble, self.model.trouble = self.model.trouble, ""
        loaded = await asyncio.gather(*(self.model.prepared(s) for s in state.versions))
        ready = {version.servable.version for version in loaded if version.state == READY}
        kept = state.routes
        if kept.production not in ready:
            self.model.trouble = trouble
            return
        kept = replace(
            kept,
            canary=kept.canary if kept.canary and kept.canary.version in ready else None,
            shadow=kept.shadow if kept.shadow and kept.shadow.version in ready else None,
        )
        self.model.followed = state.followed
        if await self._shift(kept) and found is not None:
            self._found = found if found.version == kept.production else self._found

    async def _step(self) -> None:
        found = await self._look()
        if found is None or found == self._found:
            return
        routes = self.model.routes
        if routes is not None and found.version in (self.model.followed, routes.production):
            # Nothing to do: it serves, or a release has gone on from there.
            self._found, self.model.followed = found, found.version
            return
        version = await self.model.prepared(found)
        if version.state == FAILED:
            self._say(f"version {found.version} does not serve: {version.reason}")
            # It is tried again only when the source gives another.
            self._found = found
            return
        self.model.followed = found.version
        if not await self._shift(Routes(found.version, token=f"followed/{found.version}")):
            return
        self._found, self._said, self.model.trouble = found, "", ""
        _log.info("%s: version %d serves, from %s", self.model.name, found.version, found.path)
        for number in routes.versions() if routes is not None else ():
            if number != found.version:
                await self.model.remove(number, self.model.limits.request_seconds)

    async def _look(self) -> Servable | None:
        try:
            looking = asyncio.to_thread(self.source.look, self._found)
            return await asyncio.wait_for(looking, _LOOK_SECONDS)
        except TimeoutError:
            self._say(f"its source could not be looked at within {_LOOK_SECONDS:g} s")
        except (PenstockError, OSError) as error:
            self._say(str(error))
        return None

    async def _shift(self, routes: Routes) -> bool:
        try:
            await self.model.shift(routes)
        except RefusedError as error:
            self._say(str(error))
            return False
        return True

    def _say(self, trouble: str) -> None:
        """Say what is wrong, once; what serves goes on."""
        if trouble != self._said:
            _log.warning("%s: %s", self.model.name, trouble)
        self._said = trouble
        if self.model.routes is None:
            self.model.trouble = trouble
