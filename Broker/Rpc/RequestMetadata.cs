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
                if (!name.EndsWith(GrpcProtocol.BinarySuffix, StringComparison.Ordinal))
                {
                    metadata.Add(name, value ?? string.Empty);
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
    /// <exception cref="ArgumentException">A text value can't stand in a header.</exception>
    internal static void Write(IHeaderDictionary headers, Metadata metadata)
    {
        foreach (Metadata.Entry entry in metadata)
        {
            headers.Append(entry.Key, entry.IsBinary ? BinaryHeader.Encode(entry.ValueBytes) : entry.Value);
        }
    }
}
