from django.apps import AppConfig


class StatisticsConfig(AppConfig):
    name = "todo_mcp.statistics"
    label = "statistics"
