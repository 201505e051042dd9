"""The segmentation node with one scenario: a parameter file and a few switches.

ros2 launch seg_perception perception.launch.py params_file:=my_robot.yaml namespace:=front
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from seg_perception.resources import share
from seg_perception.ros import transport

ARGUMENTS = {
    "params_file": (str(share() / "config" / "perception.yaml"), "the scenario: a ROS parameter file"),
    "namespace": ("", "namespace of the node and its topics"),
    "autostart": ("true", "configure and activate at start; false under a lifecycle manager"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn or error"),
}


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    arguments = [DeclareLaunchArgument(n, default_value=v, description=d) for n, (v, d) in ARGUMENTS.items()]
    # For everything that is started with this file, a camera driver above all: the writer's shared memory is what
    # counts. A profile that the user has chosen stays.
    profile = [] if transport.active_profile() else [transport.shipped_profile()]
    environment = [SetEnvironmentVariable(name, str(p)) for p in profile for name in transport.PROFILE_VARIABLES]
    node = Node(
        package="seg_perception",
        executable="segmentation",
        name="segmentation",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                name: ParameterValue(LaunchConfiguration(name), value_type=bool)
                for name in ("autostart", "use_sim_time")
            },
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        # The networks bring threads of their own; BLAS threads beside them only fight for the cores.
        additional_env={"OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1")},
        output="screen",
        emulate_tty=True,
    )
    return LaunchDescription([*arguments, *environment, node])
