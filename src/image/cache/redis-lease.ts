/** The lease on a key's value. The hash tag is the whole key of the value, so that both lie on one node of a Cluster. */
export function leaseKey(key: string): string {
  return `mner:img:lease:{${key}}`;
}

/**
 * SET NX PX for who is new, PEXPIRE for the holder, and the value in the same step. What is no string was written by
 * another program: as a lease it is replaced, as a value it is none.
 *
 * KEYS: lease, value. ARGV: token, milliseconds. Answer: whether the lease is the token's, and the value.
 */
export const CLAIM = `
local holder = redis.pcall('GET', KEYS[1])
local ours = 1
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif type(holder) == 'string' then
  ours = 0
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local value = redis.pcall('GET', KEYS[2])
if type(value) ~= 'string' then value = false end
return {ours, value}`;

/** The value, or {@link CLAIM} where there is none. Reading comes first, so that what refuses writes still answers with what it has. */
export const FIND_OR_CLAIM = `
local found = redis.pcall('GET', KEYS[2])
if type(found) == 'string' then return {2, found} end
${CLAIM}`;

/** Only who holds the lease gives it back: after a stall it may be somebody else's. KEYS: lease. ARGV: token. */
export const RELEASE = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;
