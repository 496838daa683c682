"""What a server tells of itself before anything is dumped or restored."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from baqup_agent.agents.postgres.names import identifier
from baqup_agent.agents.postgres.server import Server, Version
from baqup_agent.errors import SourceUnavailable

_SERVER = """
set client_encoding = 'UTF8';
select json_build_object(
  'version', current_setting('server_version'),
  'number', current_setting('server_version_num')::int,
  'reads_passwords', has_table_privilege('pg_catalog.pg_authid', 'select'),
  'roles', (select json_agg(json_build_array(rolname, quote_ident(rolname))) from pg_roles),
  'databases', (
    select json_agg(json_build_object(
      'name', datname,
      'template', datistemplate,
      'usable', datallowconn and datconnlimit <> -2,
      'size', case when has_database_privilege(oid, 'CONNECT') then pg_database_size(oid) end
    ) order by datname)
    from pg_database
  )
);
"""

#: Whether a database holds anything; what an extension brought is no content, empty schemas are.
HAS_CONTENT = """
set client_encoding = 'UTF8';
with own as (
  select oid from pg_namespace
  where nspname !~ '^pg_' and nspname <> 'information_schema'
), brought as (
  select classid, objid from pg_depend where deptype = 'e'
)
select to_json(
  exists (select from pg_class c where relnamespace in (select oid from own)
    and not exists (select from brought
      where classid = 'pg_class'::regclass and objid = c.oid))
  or exists (select from pg_proc p where pronamespace in (select oid from own)
    and not exists (select from brought where classid = 'pg_proc'::regclass and objid = p.oid))
  or exists (select from pg_type t where typnamespace in (select oid from own)
    and not exists (select from brought where classid = 'pg_type'::regclass and objid = t.oid))
  or exists (select from pg_namespace n join own using (oid) where nspname <> 'public'
    and not exists (select from brought
      where classid = 'pg_namespace'::regclass and objid = n.oid))
  or exists (select from pg_largeobject_metadata)
);
"""


@frozen
class Database:
    """One database of the server.

    Attributes:
        name: its name.
        size_bytes: its size on the server's disk; None where that is not told.
        template: whether new databases are made after it.
        usable: whether it admits connections at all.
    """

    name: str
    size_bytes: int | None
    template: bool
    usable: bool


@frozen
class Inspection:
    """What the server told.

    Attributes:
        version: the server's version.
        databases: all of its databases, by name.
        roles: its roles as SQL writes their names, in each of the ways that it may.
        reads_passwords: whether the user may read the roles' passwords.
    """

    version: Version
    databases: dict[str, Database]
    roles: frozenset[str]
    reads_passwords: bool


def inspect(server: Server, database: str) -> Inspection:
    """Ask the server about itself, as often as the job allows while it cannot be reached.

    Args:
        server: the server.
        database: where it is asked.

    Raises:
        SourceUnavailable: it cannot be reached.
        ConfigError: it refuses the user.
    """
    told: dict[str, Any] = server.job.retry(
        lambda: server.query(_SERVER, database), on=(SourceUnavailable,)
    )
    databases = [
        Database(row["name"], row["size"], row["template"], row["usable"])
        for row in told["databases"]
    ]
    roles = {way for name, quoted in told["roles"] for way in (quoted, identifier(name))}
    return Inspection(
        Version(told["version"], told["number"] // 10_000),
        {database.name: database for database in databases},
        frozenset(roles),
        told["reads_passwords"],
    )


def has_content(server: Server, database: str) -> bool:
    """Whether a database holds anything of its users'."""
    return bool(server.query(HAS_CONTENT, database))
