"""What others run: units, image, compose file, alerts and the dashboard."""
