"""The two Lua scripts by which a message is written: all of it at once, on one key.

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

#: A stream gets an entry under an id that was decided when the event was made, so that a repeated
#: write meets its own entry. An id below the stream's top without such an entry comes from a
#: clock that was set back, or from a second process on the same job: it is appended at the top,
#: unless the newest entries show (by agent and number) that this was done before.
#:
#: KEYS: the stream. ARGV: id, lifetime in ms, channel, notification, agent_id, seq,
#: then field, value, …
APPEND_EVENT = _script(
    """
-- Redis before 7 allows no write after XADD in a script without this; later ones need it not.
if redis.replicate_commands then redis.replicate_commands() end
local added = redis.pcall('XADD', KEYS[1], ARGV[1], unpack(ARGV, 7))
if type(added) == 'table' and added.err then
  if not string.find(added.err, 'equal or smaller', 1, true) then return added end
  if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) > 0 then return 0 end
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', ARGV[1], 'COUNT', 1000)) do
    local agent, seq
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'agent_id' then agent = entry[2][i + 1] end
      if entry[2][i] == 'seq' then seq = entry[2][i + 1] end
    end
    if agent == ARGV[5] and seq == ARGV[6] then return 0 end
  end
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, 7))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""
)
