-- One ledger's sums of a day, told again and again: what is told replaces what was, so nothing is counted twice.
--
-- KEYS[1] is one hash for the whole fleet and one day.
--   <ledger>                                    the number of what it told last
--   <ledger> <tenant> <model> <backend> <region>  sums, whole numbers with blanks between them
--
-- ARGV[1] is JSON, see `stores/usage.py`. The answer is the number that was there: another than the ledger remembers
-- means that something was forgotten here, and it tells all again.

local MOST = 500000 -- fields
local key, sent = KEYS[1], cjson.decode(ARGV[1])

local size = redis.pcall('HLEN', key)
if type(size) == 'table' or size > MOST then
  return redis.error_reply('POISONED the key is no hash of ours')
end

local before = redis.call('HGET', key, sent.me)
local fields = {sent.me, sent.number}
for _, row in ipairs(sent.rows) do
  fields[#fields + 1] = sent.me .. ' ' .. row[1]
  fields[#fields + 1] = row[2]
end
redis.call('HSET', key, unpack(fields))
redis.call('EXPIRE', key, sent.kept)
return before or ''
