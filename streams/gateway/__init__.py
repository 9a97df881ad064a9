"""The gateway: real requests, admitted, passed on, measured and settled."""
