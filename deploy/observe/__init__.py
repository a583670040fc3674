"""What an operator and an engineer see: the catalogue of metrics, and Grafana's dashboards written as Python."""
