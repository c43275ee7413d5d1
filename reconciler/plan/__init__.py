"""Planning: desired, base and live become a plan. Pure: no network, disk, clock or environment."""
