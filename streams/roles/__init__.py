"""The roles: one Faust app each, thin between the transport and the rules of processors/."""
