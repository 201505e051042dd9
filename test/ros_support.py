"""What the tests over real DDS share: the node in another process, and a robot that sends images and listens."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_perception.ros import transport

NODE = Path(__file__).with_name("ros_node.py")
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class NodeProcess:
    """The segmentation node in a process of its own, with the networks of ``ros_node.py``."""

    def __init__(self, domain: int, log: Path, options: Mapping[str, Any], arguments: tuple[str, ...] = ()) -> None:
        self.log = log
        parameters = [text for key, value in options.items() for text in ("-p", f"{key}:={_yaml(value)}")]
        with log.open("w") as sink:
            self._process = subprocess.Popen(
                [sys.executable, str(NODE), *arguments, "--ros-args", *parameters],
                env={**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": str(NODE.parents[1])},
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send the signal, and return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit code, when the process has ended by itself."""
        return self._process.wait(timeout=20)

    def text(self) -> str:
        """What it logged so far."""
        return self.log.read_text()

    def said(self, pattern: str) -> int:
        """How many log lines match."""
        return len(re.findall(pattern, self.text()))

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Robot:
    """Publishes camera images and hears what comes back; its callbacks run on a thread of their own."""

    def __init__(self, domain: int) -> None:
        transport.activate()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("robot", context=self._context, use_global_arguments=False)
        self.heard: dict[str, list[Any]] = {}
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        self.hear("/diagnostics", DiagnosticArray)

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        """Leave the graph; a second call does nothing."""
        if not self._context.ok():
            return
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def hear(self, topic: str, kind: Any, profile: QoSProfile = RELIABLE, connect: bool = False) -> list[Any]:
        """Subscribe; the list returned fills."""
        messages = self.heard.setdefault(topic, [])
        subscription = self.node.create_subscription(kind, topic, messages.append, profile)
        if connect:
            self.until(lambda: subscription.get_publisher_count() > 0, f"a publisher of {topic}")
        return messages

    def publisher(self, topic: str, kind: Any, profile: QoSProfile = RELIABLE) -> Any:
        """Publish, once the node has subscribed."""
        publisher = self.node.create_publisher(kind, topic, profile)
        self.until(lambda: publisher.get_subscription_count() > 0, f"a subscriber of {topic}")
        # The node's end of the match may lag behind ours, and a volatile writer does not repeat what was before it.
        time.sleep(0.3)
        return publisher

    def until(self, condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
        """Wait for ``condition`` and return its value."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > end:
                pytest.fail(f"waited {timeout:g} s for {what}")
            time.sleep(0.01)
        return value

    def diagnostics(self, part: str = "camera", node: str = "segmentation") -> dict[str, str]:
        """The newest values of one status of ``node`` that was made after this call."""
        before = len(self.heard["/diagnostics"])

        def later() -> list[DiagnosticArray]:
            # The first may have been on its way already.
            own = (m for m in self.heard["/diagnostics"][before:] if m.status[0].name.startswith(f"{node}:"))
            return list(own)[1:]

        return values(self.until(later, "diagnostics")[-1], part)

    def call(self, service: str, kind: Any, request: Any, timeout: float = 20.0) -> Any:
        client = self.node.create_client(kind, service)
        try:
            assert client.wait_for_service(timeout_sec=timeout), f"no service {service}"
            future = client.call_async(request)
            self.until(future.done, f"an answer of {service}", timeout)
            return future.result()
        finally:
            self.node.destroy_client(client)

    def change(self, transition: str) -> bool:
        """Ask the node for a lifecycle transition."""
        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(self.call("/segmentation/change_state", ChangeState, request).success)

    def parameter(self, name: str) -> Any:
        """A parameter's value, as the node tells it."""
        request = GetParameters.Request(names=[name])
        (value,) = self.call("/segmentation/get_parameters", GetParameters, request).values
        return parameter_value_to_python(value)

    def state(self) -> str:
        return str(self.call("/segmentation/get_state", GetState, GetState.Request(), 5.0).current_state.label)


def values(message: DiagnosticArray, part: str) -> dict[str, str]:
    """The values of the status of ``part`` in one diagnostics message."""
    return {v.key: v.value for status in message.status if status.name.endswith(f": {part}") for v in status.values}


def image(stamp: int, pixels: np.ndarray, frame_id: str = "camera_optical", encoding: str = "rgb8") -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels[0].nbytes)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    message.header.frame_id = frame_id
    message.data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
    return message


def compressed(stamp: int, data: bytes, kind: str = "jpeg") -> CompressedImage:
    message = CompressedImage(format=kind)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    message.header.frame_id = "camera_optical"
    message.data.frombytes(data)
    return message


def camera_info(width: int, height: int, focal: float = 500.0) -> CameraInfo:
    k = [focal, 0.0, width / 2 - 0.5, 0.0, focal, height / 2 - 0.5, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    r = np.eye(3).reshape(-1)
    return CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5, k=k, r=r, p=p)


def set_parameters(robot: Robot, atomically: bool = False, **wanted: Any) -> list[Any]:
    """Results of one request to the node."""
    parameters = [Parameter(k.replace("__", "."), value=v).to_parameter_msg() for k, v in wanted.items()]
    if atomically:
        kind: Any = SetParametersAtomically
        answer = robot.call("/segmentation/set_parameters_atomically", kind, kind.Request(parameters=parameters))
        return [answer.result]
    return list(
        robot.call("/segmentation/set_parameters", SetParameters, SetParameters.Request(parameters=parameters)).results
    )
