namespace BarBroker.Leases;

/// <summary>How much one user may hold at a time of what the policy allows in one place.</summary>
/// <param name="Place">What is counted together, such as <c>grants[3]</c>.</param>
/// <param name="MaxLeases">Null: no limit.</param>
/// <param name="MaxBytes">Of all these leases together. Null: no limit.</param>
internal sealed record LeaseQuota(string Place, int? MaxLeases, ulong? MaxBytes);

/// <summary>What users hold of each quota. Guarded by the table's lock.</summary>
internal sealed class QuotaUsage
{
    private readonly Dictionary<(string Place, uint Uid), Usage> _used = [];

    /// <exception cref="LeaseRefusedException">Another lease would be more than the user may have.</exception>
    public void ThrowIfBeyond(LeaseRequest request, uint uid)
    {
        if (request.Quota is not { } quota)
        {
            return;
        }

        Usage used = _used.GetValueOrDefault((quota.Place, uid));
        if (used.Leases >= quota.MaxLeases)
        {
            throw new LeaseRefusedException(
                LeaseRefusal.TooManyLeases,
                $"The processes of uid {uid} have {used.Leases} {(used.Leases == 1 ? "lease" : "leases")} of what this grant allows, and {quota.MaxLeases} is the most. Release some first.");
        }

        if (quota.MaxBytes is { } most && used.Bytes + request.Ranges.Bytes > most)
        {
            throw new LeaseRefusedException(
                LeaseRefusal.TooManyBytes,
                $"The processes of uid {uid} have 0x{used.Bytes:x} bytes of what this grant allows; 0x{request.Ranges.Bytes:x} more are beyond the most, 0x{most:x}. Release some first.");
        }
    }

    public void Add(LeaseRequest request, uint uid) => Change(request, uid, used => new Usage(used.Leases + 1, used.Bytes + request.Ranges.Bytes));

    public void Remove(LeaseRequest request, uint uid) => Change(request, uid, used => new Usage(used.Leases - 1, used.Bytes - request.Ranges.Bytes));

    private void Change(LeaseRequest request, uint uid, Func<Usage, Usage> change)
    {
        if (request.Quota is not { Place: var place })
        {
            return;
        }

        Usage now = change(_used.GetValueOrDefault((place, uid)));
        if (now.Leases > 0)
        {
            _used[(place, uid)] = now;
        }
        else
        {
            _used.Remove((place, uid));
        }
    }

    /// <summary>Shared leases overlap: more bytes can be leased than there are.</summary>
    private readonly record struct Usage(int Leases, UInt128 Bytes);
}
