-- Runs once, when the database's volume is empty. The passwords come from files, so that none stands in an argument or in
-- the log.
\set owner_password `cat /run/secrets/owner_password`
\set app_password `cat /run/secrets/app_password`
\set backup_password `cat /run/secrets/backup_password`

-- Owns the tables; migrates.
create role onerouter_owner login password :'owner_password';
-- Serves; owns nothing. `onerouter migrate` grants it its tables.
create role onerouter_app login password :'app_password';
-- Sees the rows of all tenants, for pg_dump; writes nothing.
create role onerouter_backup login password :'backup_password' bypassrls;
grant pg_read_all_data to onerouter_backup;

create database onerouter owner onerouter_owner;
revoke connect, temporary on database onerouter from public;
grant connect on database onerouter to onerouter_app, onerouter_backup;
