-- Whose log it is: with another key it could not be told from a fork.
alter table registry_log add column key_id text;
