-- Since when the account may do nothing any more.
alter table registry_accounts add column suspended_at text;
