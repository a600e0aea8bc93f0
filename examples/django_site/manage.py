"""The site's commands: `python manage.py demo`, `python manage.py microasgi run`, and all of Django's."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saleroom.settings")
    execute_from_command_line(sys.argv)
