-- Tenants of a pool, for its selector: the first thousand.
SELECT DISTINCT tenant
FROM profiles
WHERE pool = {pool:String}
ORDER BY tenant
LIMIT 1000
