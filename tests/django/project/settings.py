"""Settings of the tests' project. The database is a file, so that every thread and process sees it."""

from __future__ import annotations

import os
import tempfile

SECRET_KEY = "only for tests, only for tests, only for tests"
DEBUG = os.environ.get("PROJECT_DEBUG") == "1"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = os.environ.get("PROJECT_URLCONF", "tests.django.project.urls")
WSGI_APPLICATION = None
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "tests.django.project.notes",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
_url = os.environ.get("PROJECT_POSTGRES")  # "host port name user", for tests with a real PostgreSQL
if _url:
    _host, _port, _name, _user = _url.split()
    _database = {"ENGINE": "django.db.backends.postgresql", "NAME": _name, "USER": _user, "HOST": _host, "PORT": _port}
else:
    _file = os.environ.get("PROJECT_DATABASE", os.path.join(tempfile.gettempdir(), "microasgi-project.sqlite3"))
    _database = {"ENGINE": "django.db.backends.sqlite3", "NAME": _file, "OPTIONS": {"timeout": 20}}
_age = os.environ.get("PROJECT_CONN_MAX_AGE", "0")
_database["CONN_MAX_AGE"] = None if _age == "None" else int(_age)  # type: ignore[assignment]
DATABASES = {"default": _database}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "/static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/accounts/login/"
