"""The Lua scripts by which messages are written: each all at once, on one key.

Each script may be run again with the same arguments without effect, which is what makes it safe
to repeat a write whose answer was lost. They use only what Redis 6.2 to 8 and Valkey share.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Script(NamedTuple):
    """A script's text and the digest by which the server knows it."""

    text: str
    digest: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


#: A hash becomes the message, unless what it holds is newer. The hash is deleted first so that
#: members which the new message lacks do not survive in it; a server that is out of memory lets
#: a script go on which has begun to write, so a status gets through even then. Timestamps have
#: one width, so the order of texts is the order of times (Lua's numbers would lose digits).
#:
#: KEYS: the hash. ARGV: timestamp, lifetime in ms, channel, notification, then field, value, …
WRITE_HASH = _script(
    """
local stored = redis.call('HGET', KEYS[1], 'timestamp')
if stored and stored > ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""
)

# A stream gets its entries under ids that were decided before, so that a repeated write meets
# its own entries. An id that is not above the stream's top and has no such entry comes from a
# clock that is behind, or from a second process on the same job. Unless the newest entries show
# (by agent and number) that the event is there after all, the script stops at it and says how
# many it took; the writer then decides ids above the top. A batch is announced once, by its last
# event.
#
# The entries travel as one JSON text, which a client packs and a server unpacks faster than two
# dozen arguments for each event.
_BEGIN = """
-- Redis before 7 allows no write after XADD in a script without this; later ones need it not.
if redis.replicate_commands then redis.replicate_commands() end
local function identity(fields, from)
  local agent, seq
  for i = from, #fields, 2 do
    if fields[i] == 'agent_id' then agent = fields[i + 1] end
    if fields[i] == 'seq' then seq = fields[i + 1] end
  end
  return (agent or '') .. ' ' .. (seq or '')
end
"""

_APPEND = """
local newest
local function present(entry)
  local mine = whose(entry)
  local there = redis.call('XRANGE', KEYS[1], entry[1], entry[1])[1]
  if there and identity(there[2], 1) == mine then return true end
  if not newest then
    newest = {}
    for _, other in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1000)) do
      newest[identity(other[2], 1)] = true
    end
  end
  return newest[mine]
end
local taken, added = 0, 0
for _, entry in ipairs(cjson.decode(ARGV[4])) do
  local outcome = add(entry)
  if type(outcome) ~= 'table' or not outcome.err then
    added = added + 1
  elseif not string.find(outcome.err, 'equal or smaller', 1, true) then
    return outcome
  elseif not present(entry) then
    break
  end
  taken = taken + 1
end
if added > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return taken
"""

#: Entries of any form.
#:
#: KEYS: the stream. ARGV: lifetime in ms, channel, notification, entries as an array of arrays of
#: texts: id, field, value, …
APPEND_EVENTS = _script(
    f"""{_BEGIN}
local function add(entry) return redis.pcall('XADD', KEYS[1], unpack(entry)) end
local function whose(entry) return identity(entry, 2) end
{_APPEND}"""
)

#: Entries of one producer that have the fields of our own events: only values travel.
#:
#: KEYS: the stream. ARGV: as above, but the entries are of an id and nine values; job, agent.
APPEND_STORED = _script(
    f"""{_BEGIN}
local key, job, agent = KEYS[1], ARGV[5], ARGV[6]
local function add(e)
  return redis.pcall('XADD', key, e[1], 'type', 'event', 'job_id', job, 'agent_id', agent,
    'timestamp', e[2], 'seq', e[3], 'severity', e[4], 'code', e[5], 'message', e[6],
    'first_occurrence', e[7], 'last_occurrence', e[8], 'count', e[9], 'sample_paths', e[10])
end
local function whose(entry) return agent .. ' ' .. entry[3] end
{_APPEND}"""
)

#: The id of a stream's newest entry, or an empty text.
#:
#: KEYS: the stream.
NEWEST_ID = _script(
    """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return newest and newest[1] or ''
"""
)
