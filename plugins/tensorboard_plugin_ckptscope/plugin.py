"""The plugin: routes from requests to the library's objects. It computes nothing itself."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request, Response

from tensorboard_plugin_ckptscope.assets import JAVASCRIPT, Chart, modules
from tensorboard_plugin_ckptscope.roots import Root, anything_below, roots_of
from tensorboard_plugin_ckptscope.routes import ROUTES, Answer, Refused, failure_of
from tensorboard_plugin_ckptscope.security import HEADERS, Guard

_ONE_DAY_S = 86_400
_LOOK_S = 3.0
_LOOK_AGAIN_S = 10.0
_log = logging.getLogger(__name__)
Application = Callable[..., Any]


class CkptscopePlugin(base_plugin.TBPlugin):
    """The tab "Data position"."""

    plugin_name = "ckptscope"

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._context = context
        self._guard = Guard(context.flags)
        # The flag's text may be relative: it means the directory in which TensorBoard was started.
        self.roots: tuple[Root, ...] = roots_of(context.logdir, context.flags)
        self._store: Any = None
        self._lock = threading.Lock()
        self._chart = Chart()
        self._modules: dict[str, tuple[str, str]] | None = None
        self._is_active = False
        self._looked_s = -1e9

    # ------------------------------------------------------------------------------------------
    # asked by TensorBoard

    def is_active(self) -> bool:
        """Whether checkpoints or recordings were found; TensorBoard itself knows of old recordings.

        The page waits for this answer, so it is the one of the last look; a new look is made in the
        background."""
        self._look()
        return self._is_active

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """A page of our own, in a frame."""
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Data position")

    def get_plugin_apps(self) -> dict[str, Application]:
        """WSGI applications by path."""
        # The listing that decides whether the tab is shown comes with the first page; a look begun
        # then would be late.
        self._look()
        apps = {"/index.js": self._module, "/static/*": self._module}
        if self._chart.name is not None:
            apps[f"/{self._chart.name}"] = self._plotly
        apps.update({f"/api/v1/{name}": self._api(answer) for name, answer in ROUTES.items()})
        apps["/api/v1/health"] = self._guarded(self._health)
        return apps

    # ------------------------------------------------------------------------------------------
    # routes

    @property
    def store(self) -> Any:
        """All runs; made, with the imports that it needs, when it is first asked for."""
        with self._lock:
            if self._store is None:
                from tensorboard_plugin_ckptscope.provided import Elsewhere, ProvidedRuns
                from tensorboard_plugin_ckptscope.store import Store

                provider = self._context.data_provider
                sources: list[Any] = [self._remote] if self._remote is not None else []
                if provider is not None and (sources or not self.roots):
                    sources.append(ProvidedRuns(provider))
                self._store = Store(self.roots, Elsewhere(*sources) if sources else None)
            return self._store

    @property
    def notes(self) -> list[str]:
        """What a user should know of where runs are looked for."""
        remote = [root.path for root in self.roots if not root.is_local]
        problems = self._remote.problems if self._remote is not None else []
        return [
            *(
                f"Checkpoints below {path} are not looked for: only recordings are read from there."
                for path in remote
            ),
            *problems,
        ]

    @functools.cached_property
    def _remote(self) -> Any:
        """Recordings of remote roots; None where all are local."""
        from tensorboard_plugin_ckptscope.remote import RemoteRuns

        remote = [(root.name, root.path) for root in self.roots if not root.is_local]
        return RemoteRuns(remote) if remote else None

    @property
    def logdir(self) -> str | None:
        """As given."""
        named = (
            root.path if root.name is None else f"{root.name}:{root.path}" for root in self.roots
        )
        return ", ".join(named) or None

    @property
    def _module(self) -> Application:
        return self._guarded(self._static)

    @property
    def _plotly(self) -> Application:
        def serve(request: Request) -> Response:
            return self._respond(
                request, self._chart.compressed(), JAVASCRIPT, encoding="gzip", expires=_ONE_DAY_S
            )

        return self._guarded(serve)

    def _static(self, request: Request) -> Response:
        if self._modules is None:
            self._modules = modules()
        name = request.path.rpartition("/")[2]
        if name not in self._modules or not request.path.endswith(
            (f"/static/{name}", "/ckptscope/index.js")
        ):
            raise Refused(404, "no such file")
        return self._respond(request, *self._modules[name])

    def _health(self, request: Request) -> Response:
        import tensorboard.version

        from ckptscope.render.jsonable import envelope

        multiplexed = self._context.multiplexer is not None
        value = {
            **envelope("health"),
            "tensorboard_version": tensorboard.version.VERSION,
            "plotly": self._chart.name,
            "loading": "slow" if multiplexed else "fast",
            "logdir": self.logdir,
            "notes": self.notes,
            "roots": [
                {"name": root.name, "path": root.path, "is_local": root.is_local}
                for root in self.roots
            ],
            "memory_nbytes": self.store.nbytes,
        }
        return self._respond(request, value)

    def _api(self, answer: Answer) -> Application:
        return self._guarded(lambda request: self._respond(request, answer(self, request.args)))

    def _guarded(self, handler: Callable[[Request], Response]) -> Application:
        """A WSGI application that refuses what it must, and turns every error into a JSON
        object.
        """

        @Request.application
        def application(request: Request) -> Response:
            refusal = self._guard.refusal(request)
            if refusal is not None:
                return self._failed(request, *refusal)
            try:
                return handler(request)
            except Exception as error:  # a fault here must be told on the page, not break it
                failure = failure_of(error)
                if failure.status >= 500:
                    _log.exception("%s", request.path)
                return self._failed(request, failure.status, failure.message, failure.hint)

        return application

    def _failed(self, request: Request, status: int, message: str, hint: str | None) -> Response:
        extra = [("Allow", "GET, HEAD")] if status == 405 else []
        return self._respond(
            request, {"code": status, "message": message, "hint": hint}, status=status, extra=extra
        )

    def _respond(
        self,
        request: Request,
        content: Any,
        kind: str = "application/json",
        *,
        status: int = 200,
        encoding: str | None = None,
        expires: int = 0,
        extra: list[tuple[str, str]] | None = None,
    ) -> Response:
        response: Response = http_util.Respond(
            request,
            content,
            kind,
            code=status,
            expires=expires,
            content_encoding=encoding,
            headers=[*HEADERS, *(extra or [])],
        )
        return response

    # ------------------------------------------------------------------------------------------
    # activity

    def _look(self) -> None:
        """Look for anything to show, in the background and not too often."""
        with self._lock:
            if self._is_active or time.monotonic() - self._looked_s < _LOOK_AGAIN_S:
                return
            self._looked_s = time.monotonic()
        threading.Thread(target=self._look_now, name="ckptscope-look", daemon=True).start()

    def _look_now(self) -> None:
        try:
            self._is_active = anything_below(self.roots, _LOOK_S) or bool(
                self._remote is not None and self._remote.places(set())
            )
        except Exception:  # then the tab is listed as inactive
            _log.exception("looking for checkpoints below %s", os.getcwd())
