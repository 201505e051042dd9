"""A lifecycle node whose transitions leave the executor free, say why they failed, and can be tried again; and the
process around it.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Any, TypeVar

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from seg_perception.errors import SegPerceptionError

RCLError = rclpy_implementation.RCLError


N = TypeVar("N", bound="ManagedNode")


class ManagedNode(LifecycleNodeMixin, Node):
    """Subclasses do their work in :meth:`configure`, :meth:`activate`, :meth:`deactivate` and :meth:`clean_up`, and
    raise where it cannot be done; each must leave nothing behind when it raises.

    A transition asked for over the service runs on a thread of its own: while a model loads, the executor answers
    every other service. Transitions wait for each other.
    """

    def __init__(self, name: str, **options: Any) -> None:
        Node.__init__(self, name, **options)
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self._changing = Lock()
        # rclpy awaits a service's callback if it can, though its annotation does not say so.
        service: Any = self._service_change_state
        self._change_state, service.callback = service.callback, self._change_state_aside

    def configure(self) -> None:
        """Load what is needed."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working."""

    def clean_up(self) -> None:
        """Free what :meth:`configure` loaded."""

    @property
    def state(self) -> str:
        """The lifecycle state: ``unconfigured``, ``inactive``, ``active``, ..."""
        return str(self._state_machine.current_state[1])

    def start(self) -> bool:
        """Configure and activate without a manager; returns whether both succeeded. Leaves a node alone that a manager
        has already taken in hand.
        """
        success = TransitionCallbackReturn.SUCCESS
        with self._changing:
            if self.state != "unconfigured":
                return False
            return bool(self.trigger_configure() == success and self.trigger_activate() == success)

    def finish(self) -> None:
        """Shut down, once a transition that is under way has ended; a manager may have done it before."""
        with self._changing:
            if self.state != "finalized":
                self.trigger_shutdown()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called by rclpy."""
        return self._attempt("configure", self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called by rclpy."""
        return self._attempt("activate", self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called by rclpy."""
        return self._attempt("deactivate", self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called by rclpy."""
        return self._attempt("clean up", self.clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called by rclpy from any state; ``state`` is the one before."""

        def shut_down() -> None:
            if state.label == "active":
                self.deactivate()
            if state.label in ("active", "inactive"):
                self.clean_up()

        return self._attempt("shut down", shut_down)

    def _attempt(self, what: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            work()
        except SegPerceptionError as error:
            self.get_logger().error(f"cannot {what}: {error}")
        except Exception as error:
            self.get_logger().error(f"cannot {what}: {type(error).__name__}: {error}\n{traceback.format_exc()}")
        else:
            return TransitionCallbackReturn.SUCCESS
        return TransitionCallbackReturn.FAILURE

    async def _change_state_aside(self, request: Any, response: Any) -> Any:
        executor = self.executor
        assert executor is not None
        done = Future(executor=executor)

        def change() -> None:
            with self._changing:
                try:
                    self._change_state(request, response)
                except RCLError:
                    # rclpy lets a transition that the state has not end the executor.
                    asked = request.transition.label or request.transition.id
                    self.get_logger().error(f"transition '{asked}' is not possible from the state '{self.state}'")
                    response.success = False
            done.set_result(response)
            executor.wake()

        Thread(target=change, name="transition").start()
        return await done


def run(make: Callable[[], N], args: Sequence[str] | None, autostart: Callable[[N], bool]) -> int:
    """The process around one node: spins until SIGINT or SIGTERM, then takes the node down in order, so that nothing is
    left in shared memory. Returns the exit code.

    Signals only set a flag: rclpy's own handlers would take the context away while images are still being published.
    """
    try:
        rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    except RCLError as error:
        print(f"the ROS arguments cannot be used: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    try:
        node = make()
    except SegPerceptionError as error:
        print(error, file=sys.stderr)
        rclpy.shutdown()
        return 1
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = Thread(target=_spin, args=(executor, stop), name="executor")
    spinning.start()
    try:
        if autostart(node):
            node.start()
        stop.wait()
        node.finish()
    finally:  # a process whose other thread goes on would never end
        executor.shutdown()
        spinning.join()
        node.destroy_node()
        rclpy.shutdown()
    return 0


def _spin(executor: SingleThreadedExecutor, stop: Event) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
    finally:
        stop.set()
