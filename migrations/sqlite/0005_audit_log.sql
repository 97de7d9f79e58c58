-- Who has changed what over the management API or the command line.
create table audit_log (
    tenant_id blob not null,
    id blob not null,
    actor text not null,
    action text not null,
    target text not null,
    before text,
    after text,
    address text,
    request_id text,
    created_at text not null,
    constraint audit_log_pkey primary key (tenant_id, id)
) strict, without rowid;

-- SQLite has no roles that could be refused this.
create trigger audit_log_stays before update on audit_log
begin
    select raise(abort, 'the audit log is only added to');
end;

create trigger audit_log_is_kept before delete on audit_log
begin
    select raise(abort, 'the audit log is only added to');
end;

-- From where a key may be used: addresses and networks as text; none for anywhere.
alter table api_keys add column allowed_ips text
    check (allowed_ips is null or json_type(allowed_ips) = 'array');
