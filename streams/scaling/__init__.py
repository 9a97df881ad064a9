"""The autoscaler: what engines ask for of replicas, told to whoever runs them by HTTP, Prometheus and KEDA."""
