using BarBroker.Grpc;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace BarBroker.Rpc;

/// <summary>Between HTTP's headers and gRPC's metadata.</summary>
internal static class RequestMetadata
{
    /// <summary>The custom ones among a request's headers.</summary>
    /// <exception cref="RpcException">A <c>-bin</c> header is no base64.</exception>
    internal static Metadata Read(IHeaderDictionary headers)
    {
        Metadata metadata = [];
        foreach ((string name, StringValues values) in headers)
        {
            if (GrpcProtocol.IsReserved(name) || !Metadata.IsValidKey(name))
            {
                continue;
            }

            foreach (string? value in values)
            {
                if (!name.EndsWith(GrpcProtocol.BinarySuffix, StringComparison.OrdinalIgnoreCase))
                {
                    // By the protocol, what is no ASCII may be dropped.
                    if (value is not null && Metadata.IsValidValue(value))
                    {
                        metadata.Add(name, value);
                    }
                }
                else if (!BinaryHeader.TryAddTo(metadata, name, value ?? string.Empty))
                {
                    throw new RpcException(RpcStatuses.MetadataInvalid);
                }
            }
        }

        return metadata;
    }

    /// <summary>Adds metadata to response headers or trailers.</summary>
    internal static void Write(IHeaderDictionary headers, Metadata metadata)
    {
        foreach (Metadata.Entry entry in metadata)
        {
            headers.Append(entry.Key, entry.IsBinary ? BinaryHeader.Encode(entry.ValueBytes) : entry.Value);
        }
    }
}
