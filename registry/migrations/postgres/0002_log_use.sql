-- What an account has appended to the log on the last day that it did.
create table registry_log_use (
    account_id uuid primary key references registry_accounts (id),
    day text not null,
    bytes bigint not null
);
