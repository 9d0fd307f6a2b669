"""EKS addons that are stacks of their own: they wait for a node group, and are changed with their cluster's spec."""
