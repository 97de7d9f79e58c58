-- Who has changed what over the management API or the command line. The service may add to it and
-- read it; `store/roles.rs` grants nothing else.
create table audit_log (
    tenant_id uuid not null,
    id uuid not null,
    actor text not null,
    action text not null,
    target text not null,
    before text,
    after text,
    address text,
    request_id text,
    created_at timestamptz not null,
    constraint audit_log_pkey primary key (tenant_id, id),
    constraint audit_log_action_check check (action ~ '^[a-z_]+\.[a-z_]+$')
);

alter table audit_log enable row level security;
alter table audit_log force row level security;

create policy tenant on audit_log
    using (tenant_id = nullif(current_setting('onerouter.tenant', true), '')::uuid);

-- From where a key may be used: addresses and networks as text; none for anywhere.
alter table api_keys add column allowed_ips jsonb;

alter table api_keys add constraint api_keys_allowed_ips_check
    check (allowed_ips is null or jsonb_typeof(allowed_ips) = 'array');
