"""The ROS 2 side of the package: the only folder that imports rclpy."""
