-- One worker's sync: it says what it knows and hears what the others know, in one call, by the server's clock.
--
-- KEYS[1] is one hash for the whole fleet; KEYS[2] and KEYS[3] are those of shares.lua, which stands before this text. Times are in milliseconds; targets, workers, marks and tenants are digests.
--   w <worker>           when it was last here
--   v <target> <worker>  a vote: this worker found it out by itself. until, cast at, 1: unreachable, tenants
--   t <target>           what the fleet holds true: phase, until, epoch, right, lease, owner, why
--   c <target>           throttled until then
--   m <mark> <kind>      version, until, reason
--
-- A target's phase is open, closed (kept for a minute, so that all hear it) or none (there is only a right to probe).
-- `epoch` is the number of the opening or closing, `right` that of the last right to probe, `lease` when that ends. Each
-- number is larger than all before: the time, or one more than the last. So none comes twice, even after a FLUSHALL.
--
-- ARGV[1] is JSON, see `Request` in messages.py; so is the answer, see `Reply`. What does not look as above is removed.

local MOST = 4000 -- fields
local LONGEST, LEASE, WEEK = 300000, 900000, 7 * 24 * 3600000 -- nothing stays away, or is probed, for longer
local EPOCHS = 1e14 - 1 -- Lua writes whole numbers of 14 digits as they are
local AHEAD = 1e6
local TOLD = 60000 -- so long a closing is told
local KEPT = {open = 600000, closed = 0, none = 60000} -- after a target's `until` and lease

local key, sent = KEYS[1], cjson.decode(ARGV[1])
local me = sent.me
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local size = redis.pcall('HLEN', key)
if type(size) == 'table' or size > MOST then
  return redis.error_reply('POISONED the key is no hash of ours')
end

-- ---- read what is there; each reader returns true: keep it, false: it is over, nil: it is not ours ----

local live, votes, targets, cools, marks, stored, junk = 0, {}, {}, {}, {}, {}, 0
local changed = {} -- fields to be written at the end, so that each is written once, whatever happens to it on the way
local read = {}

local function within(text, most)
  local number = tonumber(text)
  return number and number <= most and number
end

function read.w(_, _, value)
  local seen = value:match('^%d+$') and within(value, now + 60000)
  if not seen then return nil end
  if seen < now - 5000 then return false end
  live = live + 1
  return true
end

function read.v(target, worker, value)
  local till, at, unreachable, tenants = value:match('^(%d+) (%d+) ([01]) ([%x,]*)$')
  till, at = within(till, now + LONGEST), within(at, now + 60000)
  if not (till and at and worker ~= '') then return nil end
  if at < now - 60000 then return false end
  votes[target] = votes[target] or {}
  votes[target][worker] = {till = till, at = at, unreachable = unreachable, tenants = tenants}
  return true
end

function read.t(target, _, value)
  local phase, till, epoch, right, lease, owner, why =
    value:match('^(%l+) (%d+) (%d+) (%d+) (%d+) ([%x-]+) ([cf-])$')
  till, lease = within(till, now + LONGEST), within(lease, now + LEASE)
  epoch, right = within(epoch, EPOCHS), within(right, EPOCHS)
  if not (KEPT[phase] and till and epoch and right and lease) then return nil end
  if math.max(till, lease) + KEPT[phase] < now then return false end
  targets[target] = {phase = phase, till = till, epoch = epoch, right = right, lease = lease, owner = owner, why = why}
  return true
end

function read.c(target, _, value)
  local till = value:match('^%d+$') and within(value, now + LONGEST)
  if not till then return nil end
  if till < now then return false end
  cools[target] = till
  return true
end

function read.m(mark, kind, value)
  local version, till, reason = value:match('^(%d+) (%d+) ([ -~]*)$')
  version, till = within(version, now + WEEK), within(till, now + WEEK + 3600000)
  if not (version and till and kind ~= '') then return nil end
  if math.max(version, till) + 600000 < now then return false end
  marks[mark .. ' ' .. kind] = {version, till, reason}
  return true
end

local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  local letter, id, rest = field:match('^(%l) (%x+) ?(%w*)$')
  local keep = nil
  if #field <= 60 and #value <= 3000 and read[letter] then keep = read[letter](id, rest, value) end
  if keep then
    stored[field] = value
  else
    changed[field] = true
    size = size - 1
    if keep == nil then junk = junk + 1 end
  end
end

-- ---- what becomes of it ----

local function put(field, value)
  if stored[field] == value then return true end
  if not stored[field] then
    if size >= MOST then return false end
    size = size + 1
  end
  stored[field], changed[field] = value, true
  return true
end

local function remove(field)
  if not stored[field] then return end
  stored[field], changed[field] = nil, true
  size = size - 1
end

local function save(id, t)
  targets[id] = t
  return put('t ' .. id, table.concat({t.phase, t.till, t.epoch, t.right, t.lease, t.owner, t.why}, ' '))
end

local function new()
  return {phase = 'none', till = 0, epoch = 0, right = 0, lease = 0, owner = '-', why = '-'}
end

local function next_number(t)
  return math.max(now, t.epoch + 1, t.right + 1)
end

local function forget_votes(id)
  for worker in pairs(votes[id] or {}) do remove('v ' .. id .. ' ' .. worker) end
  votes[id] = nil
end

-- It closed so long ago: what opened since stands, but for a second, since numbers may be ahead of the clock. Does that
-- close what it should not, whoever found it out votes again.
local function close(id, t, age)
  if t.phase == 'open' and t.epoch > now - age + 1000 then return end
  t.phase, t.till, t.epoch, t.why = 'closed', now - age + TOLD, next_number(t), '-'
  forget_votes(id)
end

local function judge(id)
  local voters, tenants, named, till, unreachable = 0, 0, {}, 0, false
  for _, vote in pairs(votes[id]) do
    voters, till = voters + 1, math.max(till, vote.till)
    unreachable = unreachable or vote.unreachable == '1'
    for tenant in vote.tenants:gmatch('%x+') do
      if not named[tenant] then named[tenant], tenants = true, tenants + 1 end
    end
  end
  if (voters >= 2 or voters >= 0.3 * live) and (unreachable or tenants >= 2) then
    local t = targets[id] or new()
    t.phase, t.till, t.epoch, t.why = 'open', till, next_number(t), unreachable and 'c' or 'f'
    forget_votes(id)
    save(id, t)
  end
end

-- Whether a worker that knows this epoch has not heard yet that the target was closed.
local function unaware(id, epoch)
  return targets[id] and targets[id].phase == 'closed' and epoch < targets[id].epoch
end

-- Whether two others say it already, of the same tenants: each sync reads all votes, so there should be few.
local function is_said(id, tenants)
  local voters, named = 0, {}
  for worker, vote in pairs(votes[id] or {}) do
    if worker ~= me then
      voters = voters + 1
      for tenant in vote.tenants:gmatch('%x+') do named[tenant] = true end
    end
  end
  for tenant in tenants:gmatch('%x+') do
    if not named[tenant] then return false end
  end
  return voters >= 2
end

-- ---- take what this worker says ----

local seen = stored['w ' .. me]
if not seen then live = live + 1 end
if not seen or tonumber(seen) < now - 1000 then put('w ' .. me, now) end

for id, said in pairs(sent.reset) do -- an operator's word; before our results, which would make us look unaware
  local t, epoch, age = targets[id] or new(), said[1], said[2]
  if not unaware(id, epoch) then
    close(id, t, age)
    save(id, t)
    cools[id] = nil
    remove('c ' .. id)
  end
end

for id, said in pairs(sent.done) do -- the result of a probe counts only under the last right, of its owner
  local t, epoch, closed, open_for, age = targets[id], said[1], said[2], said[3], said[4]
  if t and t.right == epoch and t.owner == me then
    t.owner, t.lease = '-', now
    if closed == 1 then
      close(id, t, age)
    elseif t.phase == 'open' and open_for > 0 then
      t.till = now + open_for
    end
    save(id, t)
  end
end

local renewed = {}
for id, said in pairs(sent.renew) do
  local t = targets[id]
  if t and t.right == said[1] and t.owner == me then
    t.lease, renewed[id] = now + said[2], 1
    save(id, t)
  end
end

local knows = {} -- this worker found it out after it was closed: it has heard of the closing, or need not
for id, said in pairs(sent.votes) do
  local t, left, age, unreachable, tenants = targets[id], said[1], said[2], tostring(said[3]), said[4]
  local closed_at = t and t.phase == 'closed' and t.till - TOLD
  knows[id] = closed_at and now - age >= closed_at - 2 -- both were rounded on their way
  if t and (t.phase == 'open' or (closed_at and (not knows[id] or now - 1000 < closed_at))) then
    sent.votes[id] = nil -- open for all; or closed after this worker had found it out; or closed just now: say it again
  elseif unreachable == '0' and is_said(id, tenants) then
    sent.votes[id] = nil
  else
    local vote, old = {till = now + left, at = now, unreachable = unreachable, tenants = tenants}, nil
    votes[id] = votes[id] or {}
    old = votes[id][me]
    if not (old and now - old.at < 20000 and math.abs(old.till - vote.till) <= 1000
        and old.unreachable == unreachable and old.tenants == tenants) then
      put('v ' .. id .. ' ' .. me, table.concat({vote.till, vote.at, unreachable, tenants}, ' '))
      votes[id][me] = vote
    end
    judge(id)
  end
end
for id, voters in pairs(votes) do
  if voters[me] and not sent.votes[id] then remove('v ' .. id .. ' ' .. me) end
end

local granted = {}
for id, said in pairs(sent.take) do
  local t, known = targets[id] or new(), said[2]
  if math.max(t.epoch, t.right) > math.max(now, known) + AHEAD then -- no number that was ever given
    t, junk = new(), junk + 1
  end
  local heard = t.phase ~= 'closed' or known >= t.epoch or knows[id] -- else it asks for what closed meanwhile
  if heard and (now >= t.lease or t.owner == me) and not (t.phase == 'open' and now < t.till) then
    t.right, t.owner, t.lease = math.max(next_number(t), known + 1), me, now + said[1]
    if save(id, t) then granted[id] = t.right end
  end
end

for id, said in pairs(sent.cool) do -- heard and said again it may look a little longer: that is not news
  local till, epoch = now + said[1], said[2]
  if (not cools[id] or till > cools[id] + 1000) and not unaware(id, epoch) then
    cools[id] = till
    put('c ' .. id, cools[id])
  end
end

for id, said in pairs(sent.marks) do
  if not marks[id] or said[1] > marks[id][1] then
    marks[id] = said
    put('m ' .. id, table.concat(said, ' '))
  end
end

for field in pairs(changed) do
  if stored[field] then
    redis.call('HSET', key, field, stored[field])
  else
    redis.call('HDEL', key, field)
  end
end
redis.call('PEXPIRE', key, WEEK + 3600000)

-- ---- limits, if any of them is told; whatever is wrong there is wrong there alone ----

local shares = cjson.null
if type(sent.shares) == 'table' then
  local good, found = pcall(share_limits, KEYS[2], KEYS[3], me, now, sent.shares)
  shares = good and not found.err and found or 0
end

-- ---- and answer with what holds ----

local open_or_closed, throttled = {}, {}
for id, t in pairs(targets) do
  if t.phase ~= 'none' then open_or_closed[id] = {t.phase, math.max(0, t.till - now), t.epoch, t.why} end
end
for id, till in pairs(cools) do throttled[id] = till - now end
return cjson.encode({
  now = now, live = live, junk = junk, targets = open_or_closed, cools = throttled, marks = marks,
  granted = granted, renewed = renewed, shares = shares,
})
