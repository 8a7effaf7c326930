-- A page of the fleet's sums of one day: KEYS[1] as in usage.lua, ARGV[1] where to go on, "0" at first and at the end.
return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
