import pytest

from agentx.errors import UserError
from agentx.tasks.database import availability as module
from agentx.tasks.database.availability import database_engine, database_engines
from agentx.tasks.database.settings import Settings
from agentx.tasks.database.task import make_task


class Paths:
    agentbench = None


def test_every_engine_says_whether_it_works():
    sqlite, mysql = database_engines()
    assert sqlite.works and "stand-in" in sqlite.detail
    assert mysql.name == "mysql" and (mysql.works or mysql.remedy)


def test_a_run_is_told_before_it_starts(monkeypatch):
    monkeypatch.setattr(module, "server_program", lambda: None)
    assert not database_engine("mysql").works
    with pytest.raises(UserError, match=r"task\.engine=mysql: no MariaDB.*apt install mariadb-server-core.*task\.dsn"):
        make_task(Settings(engine="mysql"), Paths())


def test_a_server_that_cannot_be_reached_is_one_line_without_its_password(tmp_path):
    dsn = f"mysql://me:secret-word@{tmp_path}/socket".replace("@", "@", 1)
    found = database_engine("mysql", dsn)
    assert not found.works and "secret-word" not in found.line and "\n" not in found.line


def test_a_given_server_tells_its_version(mariadb):
    found = database_engine("mysql", f"mysql://root@{mariadb.address.socket}")
    assert found.works and mariadb.version() in found.detail
