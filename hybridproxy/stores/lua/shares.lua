-- What one worker says of limits, and its shares of them. resilience/agreement.py has the same rule, resilience/shares.py the words.
--
-- shares is a hash with all that belongs together, spend one with the caps of a month:
--   g        generation (when Redis began to know anything, in milliseconds), workers that are expected; of `spend` just 1
--   w        workers: id, lasting name, heard at, number of what it said, workers it knows, 1: gone
--   f        limits that are used up: id, until
--   l <id>   entries of a limit: who, worker, held, used, want, spent
-- Amounts have up to 16 digits, so they are written by whole() and never by tostring(), and answered as text.

local LARGEST = 2 ^ 52
local LOST, LOST_FOR, SETTLED, WINDOW, AWAY, HEALING = 5000, 900000, 80000, 65000, 90000000, 8000
local MOST_WORKERS, MOST_ENTRIES, MOST_FULL, FULL_FOR, START_CAP = 100, 100, 500, 3000, 100
local LONGEST, FIELDS, LONGEST_PERIOD = 20000, 200000, 32 * 86400000

local function whole(number)
  return string.format('%.0f', number)
end

local function part_of(limit, count)
  return math.floor(limit / math.max(1, count))
end

-- The records that a text is made of, each by its pattern with a ';' after it; nil: nobody of ours wrote it.
local function records(text, pattern)
  local found, place = {}, 1
  if not text then return found end
  if #text > LONGEST then return nil end
  while place <= #text do
    local record = {text:match('^' .. pattern .. ';()', place)}
    if #record == 0 then return nil end
    place = table.remove(record)
    table.insert(found, record)
  end
  return found
end

local function level_of(room, wants)
  table.sort(wants)
  for i, want in ipairs(wants) do
    local share = part_of(room, #wants - i + 1)
    if want > share then return share end
    room = room - want
  end
  return LARGEST
end

local function share_limits(shares, spend, me, now, sent)
  local junk = 0
  local spend_fields = redis.call('HLEN', spend)
  if redis.call('HLEN', shares) > FIELDS or spend_fields > FIELDS then
    return redis.error_reply('POISONED far too many limits')
  end
  local names = {[shares] = {'g', 'w', 'f'}, [spend] = {}}
  for _, row in ipairs(sent.rows) do
    local hash = row[2] == 'm' and spend or shares
    table.insert(names[hash], 'l ' .. row[1])
  end
  local stored, changed = {[shares] = {}, [spend] = {}}, {[shares] = {}, [spend] = {}}
  for hash, fields in pairs(names) do
    if #fields > 0 then
      for i, text in ipairs(redis.call('HMGET', hash, unpack(fields))) do stored[hash][fields[i]] = text or nil end
    end
  end

  local function read(hash, field, pattern)
    local found = records(stored[hash][field], pattern)
    if not found then junk = junk + 1 end
    return found or {}
  end

  -- ---- the workers ----

  local known_generation = read(shares, 'g', '(%d+) (%d+)')[1]
  local generation, expected = now, 0
  if known_generation and tonumber(known_generation[1]) <= now + 60000 then
    generation, expected = tonumber(known_generation[1]), math.min(tonumber(known_generation[2]), MOST_WORKERS)
  end
  local young = now - generation < LOST_FOR
  if young and sent.generation ~= 0 and sent.generation ~= generation then
    expected = math.max(expected, math.min(sent.known, MOST_WORKERS))
  end

  local members, count = {}, 0
  for _, one in ipairs(read(shares, 'w', '(%x+) (%x+) (%d+) (%d+) (%d+) ([01])')) do
    local at = tonumber(one[3])
    if at <= now + 60000 and not members[one[1]] then
      members[one[1]] = {
        name = one[2], at = at, seq = tonumber(one[4]), known = math.max(1, tonumber(one[5])), gone = one[6] == '1',
      }
      count = count + 1
    end
  end
  local mine = members[me]
  local stale = mine and sent.seq <= mine.seq
  if not stale then
    local oldest
    for worker, member in pairs(members) do
      local age = now - member.at
      if worker ~= me and member.name == sent.name and age > LOST then member.gone = true end
      if age > (member.gone and WINDOW or AWAY) then
        members[worker], count = nil, count - 1
      elseif not oldest or member.at < members[oldest].at
          or (member.at == members[oldest].at and worker < oldest) then
        oldest = worker
      end
    end
    if not members[me] and count >= MOST_WORKERS then members[oldest] = nil end
    members[me] = {name = sent.name, at = now, seq = sent.seq, known = 1, gone = sent.bye == 1}
  end
  local counted = 0
  for _, member in pairs(members) do
    if not member.gone and now - member.at <= LOST_FOR then counted = counted + 1 end
  end
  local known = math.max(1, counted, young and expected or 0)
  if stale then return {generation = generation, known = known, limits = {}, full = '', junk = junk} end
  members[me].known = sent.known > 0 and math.min(sent.known, known) or known
  local missing, healing = known - counted, expected > 0 and now - generation < HEALING

  local full, filled = {}, 0
  for _, one in ipairs(read(shares, 'f', '(%x+) (%d+)')) do
    local till = tonumber(one[2])
    if till > now and till <= now + LONGEST_PERIOD then full[one[1]], filled = till, filled + 1 end
  end

  -- ---- one limit ----

  -- What has to be left to somebody that is not heard; nil: it is heard. 0: it may be forgotten.
  local function weight(member, kind, limit, entry)
    local age = member and now - member.at or AWAY
    if member and not member.gone and age <= LOST then return nil end
    if kind == 'm' then return entry.held end
    if not member or member.gone then
      return kind == 'r' and age <= WINDOW and entry.used or 0
    end
    local part = age <= LOST_FOR and part_of(limit, member.known) or 0
    return age <= SETTLED and math.max(entry.held, part) or part
  end

  local function others_of(row, field, hash)
    local kind, limit, began = row[2], row[3], row[8]
    local cap, who = kind == 'm', kind == 'm' and sent.spender or me
    local live, stays, there, reserved, spent, base, floor = {}, {}, {}, 0, 0, 0, 0
    for _, one in ipairs(read(hash, field, '(%x+) (%x+) (%d+) (%d+) (%d+) (%d+)')) do
      local entry = {who = one[1], worker = one[2]}
      for i, name in ipairs({'held', 'used', 'want', 'spent'}) do
        entry[name] = math.min(tonumber(one[i + 2]), LARGEST)
      end
      there[entry.worker] = true
      if entry.who == who then
        spent = entry.spent
      elseif entry.who == '0' then
        base = entry.held
      elseif entry.who == '1' then
        floor = entry.held
      elseif entry.who ~= me then
        local left = weight(members[entry.worker], kind, limit, entry)
        if not left then table.insert(live, entry) end
        reserved = reserved + (left or 0)
        if left ~= 0 then table.insert(stays, entry) end
      end
    end
    for worker, member in pairs(members) do
      if not there[worker] and worker ~= me and not member.gone and now - member.at > LOST then
        local part = part_of(limit, member.known)
        if cap and now - began - LOST_FOR <= member.at and member.at < now - began then
          table.insert(stays, {who = worker, worker = worker, held = part, used = part, want = part, spent = 0})
          reserved = reserved + part
        elseif not cap and now - member.at <= LOST_FOR then
          reserved = reserved + part
        end
      end
    end
    if not cap then
      if not healing then reserved = reserved + missing * part_of(limit, known) end
      return live, stays, reserved, 0, 0
    end
    if row[10] ~= 0 and row[10] ~= generation then
      base, floor = math.max(base, row[11]), math.max(floor, row[12])
    end
    if #stays > MOST_ENTRIES then
      local merged = 0
      for _, entry in ipairs(stays) do merged = merged + entry.held end
      for _, entry in ipairs(live) do merged = merged - entry.held end
      base, reserved, stays = base + merged, reserved - merged, {unpack(live)}
    end
    if base > 0 then
      table.insert(stays, {who = '0', worker = '0', held = base, used = 0, want = 0, spent = 0})
    end
    if not healing and missing == 0 then floor = 0 end
    if floor > 0 then
      table.insert(stays, {who = '1', worker = '1', held = floor, used = 0, want = 0, spent = 0})
    end
    return live, stays, reserved + base, spent, floor
  end

  local function share(row)
    local id, kind, limit, keep, used, want, spent = unpack(row, 1, 7)
    local field, hash, cap = 'l ' .. id, kind == 'm' and spend or shares, kind == 'm'
    local live, stays, reserved, spent_before, floor = others_of(row, field, hash)
    local start, starts, begun, held_by_live, used_by_live = part_of(limit, START_CAP), 0, {[me] = want > used}, 0, 0
    for _, one in ipairs(live) do
      begun[one.worker] = one.want > one.used
      held_by_live = held_by_live + math.max(one.held, one.used)
      used_by_live = used_by_live + one.used
    end
    if cap then
      starts = start
      for worker, member in pairs(members) do
        if not member.gone and not begun[worker] then starts = starts + part_of(start, member.known) end
      end
    end
    local fixed = math.max(reserved, floor - keep)
    local held_by_others = math.max(reserved + held_by_live, floor - keep)
    local held, goal
    if sent.bye == 1 or want <= used then
      held, goal = math.max(keep, used), used
    elseif healing then
      held, goal = keep, keep
    else
      local low = cap and used or 0
      local wants = {want - low}
      for _, one in ipairs(live) do table.insert(wants, math.max(0, one.want - (cap and one.used or 0))) end
      local room = math.max(0, limit - starts - fixed - low - (cap and used_by_live or 0))
      local level, rest = level_of(room, wants), room
      for _, one in ipairs(wants) do rest = rest - math.min(level, one) end
      goal = low + math.min(level, want - low) + part_of(rest, 2 * known)
      held = math.max(keep, math.min(goal, math.max(0, limit - starts - held_by_others)))
    end
    spent = math.max(spent, spent_before)
    if held > 0 or want > 0 or spent > 0 then
      table.insert(stays, {
        who = cap and sent.spender or me, worker = me, held = held, used = used, want = want, spent = spent,
      })
    end
    local text = {}
    for _, one in ipairs(stays) do
      table.insert(text, table.concat({
        one.who, one.worker, whole(one.held), whole(one.used), whole(one.want), whole(one.spent) .. ';',
      }, ' '))
    end
    changed[hash][field] = table.concat(text)
    local together, is_full = math.min(LARGEST, held_by_others + held), reserved + used + used_by_live >= limit
    if cap then is_full = together + starts + part_of(start, known) > limit end
    if not is_full then
      if full[id] then full[id], filled = nil, filled - 1 end
    elseif full[id] or filled < MOST_FULL then
      if not full[id] then filled = filled + 1 end
      full[id] = now + (cap and row[9] or FULL_FOR)
    end
    return table.concat({whole(held), whole(goal), whole(spent), whole(math.min(LARGEST, reserved)), whole(together)}, ' ')
  end

  local limits = {}
  for _, row in ipairs(sent.rows) do limits[row[1]] = share(row) end

  -- ---- write what changed ----

  local workers, used_up, named = {}, {}, {}
  for worker, one in pairs(members) do
    table.insert(workers, table.concat({
      worker, one.name, whole(one.at), whole(one.seq), whole(one.known), (one.gone and '1' or '0') .. ';',
    }, ' '))
  end
  for id, till in pairs(full) do
    table.insert(used_up, id .. ' ' .. whole(till) .. ';')
    table.insert(named, id)
  end
  table.sort(workers)
  table.sort(used_up)
  table.sort(named)
  changed[shares].g = whole(generation) .. ' ' .. whole(expected) .. ';'
  changed[shares].w, changed[shares].f = table.concat(workers), table.concat(used_up)
  -- a cluster answers with TRYAGAIN while a slot moves of which one key is there and another is not
  if spend_fields == 0 then changed[spend].g = '1;' end
  for hash, fields in pairs(changed) do
    local put, removed = {}, {}
    for field, text in pairs(fields) do
      if text == '' then
        if stored[hash][field] then table.insert(removed, field) end
      elseif text ~= stored[hash][field] then
        table.insert(put, field)
        table.insert(put, text)
      end
    end
    if #put > 0 then redis.call('HSET', hash, unpack(put)) end
    if #removed > 0 then redis.call('HDEL', hash, unpack(removed)) end
    if #put > 0 then redis.call('PEXPIRE', hash, hash == spend and 3456000000 or AWAY) end
  end
  return {generation = generation, known = known, limits = limits, full = table.concat(named, ' '), junk = junk}
end
