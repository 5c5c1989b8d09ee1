"""The client of a kernel: jupyter_client's, without its waits, and without the wake-up that it loses."""

from __future__ import annotations

import asyncio
from queue import Empty
from time import monotonic
from typing import Any

import zmq
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Instance, Type
from zmq.utils.monitor import recv_monitor_message

__all__ = ["Channel", "Client"]

#: Milliseconds after which a socket tries again to connect to a kernel that does not listen yet.
RECONNECT = 10
#: Seconds without a connection after which a kernel is given up that had one.
CUT_OFF = 3.0
#: Seconds that the first message of a kernel may take before it is asked again, on shell and iopub (as jupyter_client).
SHELL_PATIENCE, IOPUB_PATIENCE = 1.0, 0.2


class Channel(AsyncZMQSocketChannel):
    """A socket that is read when something has arrived.

    What zmq tells by the descriptor of a socket is told once, and sending on the socket may swallow it. jupyter_client
    sends past its asyncio socket, which then sleeps for ever: the notebook hangs (jupyter/nbclient#312; Output widgets
    send while a reply is awaited). Here the socket is looked at again after each sending.
    """

    def __init__(self, socket: Any, session: Any, _: Any = None) -> None:
        self.socket, self.session = socket, session
        self._news: asyncio.Future[None] | None = None

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - jupyter_client's name
        """The next message. Raises `queue.Empty` if none comes within `timeout` seconds (None: no limit)."""
        if self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            await asyncio.sleep(0)  # a talkative kernel must not keep the loop from the others
        else:
            try:
                await asyncio.wait_for(self._arrival(), timeout)
            except TimeoutError:
                raise Empty from None
        _, frames = self.session.feed_identities(self.socket.recv_multipart())
        message: dict[str, Any] = self.session.deserialize(frames)
        return message

    async def msg_ready(self) -> bool:
        """Whether a message has arrived."""
        return bool(self.socket.get(zmq.EVENTS) & zmq.POLLIN)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self.session.send(self.socket, message)
        self._look()

    async def _arrival(self) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self.socket.fileno()
        loop.add_reader(descriptor, self._look)
        try:
            while not self.socket.get(zmq.EVENTS) & zmq.POLLIN:
                self._news = loop.create_future()
                await self._news
        finally:
            loop.remove_reader(descriptor)
            self._news = None

    def _look(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)


class Client(AsyncKernelClient):
    """Talks to a kernel by its shell and iopub channels; that it lives is its manager's to know."""

    context = Instance(zmq.Context)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        #: By channel: who tells about its connection, and when that has ended.
        self._monitors: dict[str, Any] = {}
        self._ended: dict[str, float | None] = {}

    shell_channel_class = Type(Channel)
    iopub_channel_class = Type(Channel)

    def _context_default(self) -> zmq.Context[zmq.Socket[bytes]]:
        self._created_context = True
        context = zmq.Context()
        context.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
        context.setsockopt(zmq.RCVHWM, 0)  # nothing that a kernel says is thrown away
        return context

    def start_channels(self, *_: bool, **__: bool) -> None:
        """Connect the two channels that a notebook needs; nobody is there to answer `input`."""
        self.iopub_channel.start()
        self.shell_channel.start()
        self.allow_stdin = False
        self._is_cut_off()  # from now on it is told

    async def is_alive(self) -> bool:
        """Whether the kernel runs and can be talked to: for one that closed its sockets one would wait for ever."""
        return bool(await self._async_is_alive()) and not self._is_cut_off()

    def _is_cut_off(self) -> bool:
        """Whether a connection has ended and could not be made again for a while."""
        for name, channel in (("shell", self.shell_channel), ("iopub", self.iopub_channel)):
            if name not in self._monitors:
                events = zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED
                self._monitors[name] = channel.socket.get_monitor_socket(events)
            while self._monitors[name].get(zmq.EVENTS) & zmq.POLLIN:
                ended = recv_monitor_message(self._monitors[name])["event"] == zmq.EVENT_DISCONNECTED
                self._ended[name] = monotonic() if ended else None
        return any(ended is not None and monotonic() > ended + CUT_OFF for ended in self._ended.values())

    def stop_channels(self) -> None:
        """Close what is connected."""
        for monitor in self._monitors.values():
            monitor.close(linger=0)
        self._monitors.clear()
        for channel in (self._shell_channel, self._iopub_channel):
            if channel is not None and channel.is_alive():
                channel.stop()
        if self._created_context and not self.context.closed:
            self.context.destroy(linger=100)

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - jupyter_client's name
        """Wait until the kernel answers on both channels.

        What it said before is told apart by its parent, and need not be waited for (jupyter_client waits for 0.2 s of
        silence). Raises `RuntimeError` if the kernel dies or does not answer within `timeout` seconds.
        """
        deadline = monotonic() + (timeout if timeout is not None else float("inf"))
        while not await self._answers():
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {timeout:.0f} seconds")

    async def _answers(self) -> bool:
        self.kernel_info()
        try:
            message = await self.shell_channel.get_msg(timeout=SHELL_PATIENCE)
            if message["msg_type"] != "kernel_info_reply":
                return False
            await self.iopub_channel.get_msg(timeout=IOPUB_PATIENCE)
        except Empty:
            return False
        self._handle_kernel_info_reply(message)
        return True
