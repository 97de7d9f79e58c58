-- Which connection serves a category: one policy per tenant, environment and category.

create table routing_policies (
    tenant_id blob not null,
    environment text not null,
    category text not null,
    policy text not null,
    version integer not null,
    updated_at text not null,
    constraint routing_policies_pkey primary key (tenant_id, environment, category),
    constraint routing_policies_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint routing_policies_environment_check check (environment in ('test', 'live')),
    constraint routing_policies_policy_check check (json_type(policy) = 'object'),
    constraint routing_policies_version_check check (version > 0)
) strict, without rowid;

-- Attempts of one object may go over several connections. Null: over the object's own, as all did
-- before this column. `routing` keeps why this connection was chosen; null where there was no choice.

alter table attempts add column connection_id blob;

alter table attempts add column routing text;
